"""An S3 server of this process on a real socket, for tests; it keeps its objects in memory."""

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Served(NamedTuple):
    """One request and how many bytes its answer had."""

    method: str
    path: str
    range: str
    size_bytes: int


class ObjectStorage:
    """The server; `served` has every request that it answered."""

    def __init__(self, environment: dict[str, str], served: list[Served]) -> None:
        self.environment = environment
        self.served = served


@dataclass
class Bucket:
    """A bucket of its own for a test, and how clients reach it."""

    name: str
    storage: ObjectStorage
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def keys(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def write(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def served(self) -> list[Served]:
        """The requests about this bucket since the last call."""
        mine = [one for one in self.storage.served if one.path.strip("/").split("/")[0] == self.name]
        self.storage.served.clear()
        return mine


@contextmanager
def run_object_storage() -> Generator[ObjectStorage]:
    """Run the server to the end of the tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    served: list[Served] = []
    inner: Any = server._server
    inner.app = _recorded(inner.app, served)
    inner.RequestHandlerClass.log_request = lambda *_arguments: None
    try:
        yield ObjectStorage({**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}, served)
    finally:
        server.stop()


@contextmanager
def make_bucket(storage: ObjectStorage) -> Generator[Bucket]:
    """Make a bucket, and let this process find the server as Amazon's own programs do: by its variables."""
    with patch.dict(os.environ, storage.environment):
        client = boto3.client("s3")
        name = f"bucket-{uuid4().hex}"
        client.create_bucket(Bucket=name)
        yield Bucket(name, storage, client)
        client.close()


def _recorded(app: Callable[..., Iterable[bytes]], served: list[Served]) -> Callable[..., Iterable[bytes]]:
    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        body = list(app(environ, start))
        given = environ.get("HTTP_RANGE", "")
        served.append(Served(environ["REQUEST_METHOD"], environ["PATH_INFO"], given, sum(map(len, body))))
        return body

    return answer

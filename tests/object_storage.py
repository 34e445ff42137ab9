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

BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
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
    """The server; `served` has every request that it answered, `refused` is how many to come it refuses."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.served: list[Served] = []
        self.refused = 0

    def around(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """Return the server's application, watched, and too busy where that is asked for."""

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
            if self.refused:
                self.refused -= 1
                start("503 Slow Down", [("Content-Type", "application/xml")])
                return [BUSY]
            body = list(app(environ, start))
            given = environ.get("HTTP_RANGE", "")
            size_bytes = sum(map(len, body))
            self.served.append(Served(environ["REQUEST_METHOD"], environ["PATH_INFO"], given, size_bytes))
            return body

        return answer


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
    storage = ObjectStorage({**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"})
    inner: Any = server._server
    inner.app = storage.around(inner.app)
    inner.RequestHandlerClass.log_request = lambda *_arguments: None
    try:
        yield storage
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

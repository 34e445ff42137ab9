"""Google's and Azure's object storage, as emulators have it.

Azurite is Microsoft's own: a program, without which a test is skipped. Google has none for it;
gcp-storage-emulator is a package of the tests.
"""

import logging
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from gcp_storage_emulator.server import Server, create_server

from benchmarks.ports import free_port
from tests.tcp_proxy import TcpProxy

_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What every Azurite has; it is no secret."""


class CloudBucket(ABC):
    """An empty bucket that a test reads and writes by another client than the one under test.

    Args:
        port: The server's, which the test uses.
        proxy: What the drivers are led through by `environment`; it counts the bytes.
    """

    scheme: str
    environment: dict[str, str]

    def __init__(self, port: int, proxy: TcpProxy) -> None:
        self.port = port
        self.proxy = proxy
        self.name = f"bucket-{uuid4().hex}"
        self.make()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.name}"

    @abstractmethod
    def make(self) -> None: ...

    @abstractmethod
    def keys(self) -> list[str]: ...

    @abstractmethod
    def read(self, key: str) -> bytes: ...

    @abstractmethod
    def write(self, key: str, data: bytes) -> None: ...

    @abstractmethod
    def remove(self) -> None:
        """Remove the bucket with all that is in it."""


class AzureContainer(CloudBucket):
    scheme = "az"

    def make(self) -> None:
        self.environment = {"AZURE_STORAGE_CONNECTION_STRING": _connection_string(self.proxy.port)}
        service = BlobServiceClient.from_connection_string(_connection_string(self.port))
        self._client = service.create_container(self.name)

    def keys(self) -> list[str]:
        return sorted(self._client.list_blob_names())

    def read(self, key: str) -> bytes:
        return self._client.download_blob(key).readall()

    def write(self, key: str, data: bytes) -> None:
        self._client.upload_blob(key, data, overwrite=True)

    def remove(self) -> None:
        self._client.delete_container()


class GoogleBucket(CloudBucket):
    scheme = "gs"

    def make(self) -> None:
        self.environment = {"STORAGE_EMULATOR_HOST": self.proxy.url}
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}")
        self._client.post("/storage/v1/b", json={"name": self.name}).raise_for_status()

    def keys(self) -> list[str]:
        listed = self._client.get(f"/storage/v1/b/{self.name}/o").json()
        return sorted(one["name"] for one in listed.get("items", []))

    def read(self, key: str) -> bytes:
        found = self._client.get(
            f"/storage/v1/b/{self.name}/o/{quote(key, safe='')}", params={"alt": "media"}
        )
        return found.raise_for_status().content

    def write(self, key: str, data: bytes) -> None:
        url, where = f"/upload/storage/v1/b/{self.name}/o", {"uploadType": "media", "name": key}
        self._client.post(url, params=where, content=data).raise_for_status()

    def remove(self) -> None:
        for key in self.keys():
            self._client.delete(self._object(key)).raise_for_status()
        self._client.delete(f"/storage/v1/b/{self.name}").raise_for_status()

    def _object(self, key: str) -> str:
        return f"/storage/v1/b/{self.name}/o/{quote(key, safe='')}"


def _connection_string(port: int) -> str:
    endpoint = f"http://127.0.0.1:{port}/{_ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={endpoint};"


@contextmanager
def run_azurite(folder: Path) -> Generator[int]:
    """Run Azurite with its objects in memory; yields its port."""
    program = shutil.which("azurite-blob")
    if not program:
        pytest.skip("needs azurite-blob: npm install --global azurite@3.35.0")
    options = ("--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck")
    command = [program, *options, "--silent"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            address = next(line.split()[-1] for line in process.stdout if "successfully listens" in line)
            yield urlsplit(address).port or 0
        finally:
            process.terminate()


@contextmanager
def run_google_storage() -> Generator[int]:
    """Run gcp-storage-emulator in this process, with its objects in memory; yields its port."""
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    port = free_port()
    server: Server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    setattr(server._api._httpd, "handle_error", lambda *_: None)  # noqa: B010 - of clients that close early
    try:
        yield port
    finally:
        server.stop()


@contextmanager
def make_cloud_bucket(kind: type[CloudBucket], port: int, proxy: TcpProxy) -> Generator[CloudBucket]:
    """Make a bucket, and let this process find it as the provider's own programs do: by its variables."""
    bucket = kind(port, proxy)
    with patch.dict(os.environ, bucket.environment):
        yield bucket

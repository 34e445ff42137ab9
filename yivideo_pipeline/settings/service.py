"""Settings of the service that owns the models: where it answers, to whom, within which bounds."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.orchestration import Names
from yivideo_pipeline.settings.sections import Section

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _check_url(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address: write it as http://127.0.0.1:8788")
    return url.rstrip("/") if url else url


def _check_folder(path: Path) -> Path:
    if not path.is_absolute():  # the settings put relative ones under home: what is left has no name
        raise ValueError(f"{str(path)!r} is no folder of this machine: give its path")
    return path


Folder = Annotated[Path, AfterValidator(_check_folder)]
Url = Annotated[str, AfterValidator(_check_url)]


class SpeechSettings(SpeechOptions):
    """What is recognized, how, and where the models are."""

    service_url: Url | None = Field(
        None, description="Address of a `yivideo serve` that has the models loaded; null: this process"
    )
    service_required: bool = Field(
        False, description="false: where the service does not answer, the models are loaded in the run"
    )


class ServiceSettings(Section):
    """`yivideo serve`: where it answers, and the bounds of what it takes."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but this machine's own needs a key")
    port: int = Field(8788, ge=1, le=65_535, description="Port")
    api_key: SecretStr | None = Field(None, min_length=16, description="Key that every request must carry")
    roots: tuple[Folder, ...] = Field(
        (), description="Folders, beside the library's, from which files may be named in requests"
    )
    max_upload_mb: int = Field(4096, ge=1, description="Largest file that is taken")
    max_duration_s: float = Field(21_600, gt=0, description="Longest sound that is taken")
    max_requests: int = Field(
        64, ge=1, le=1000, description="Requests waiting or in work; more are asked to come back"
    )
    idle_unload_s: float | None = Field(
        1800, ge=10, description="The model is unloaded after so long without a request; null: never"
    )
    dagster_url: Url = Field("http://127.0.0.1:3000", description="Address of Dagster's webserver")
    callback_hosts: Names = Field((), description="Hosts that callback_url of a workflow may name")
    callback_key: SecretStr | None = Field(None, description="Key that signs callbacks (HMAC-SHA256)")

    @property
    def is_local(self) -> bool:
        """Whether this machine alone can reach the service."""
        return self.host in LOOPBACK


class AlertSettings(Section):
    """When the performance of the last hours is worth an alert."""

    p99_s: float = Field(300, gt=0, description="Seconds that 99% of operations must stay below")
    success_pct: float = Field(90, ge=0, le=100, description="Least share of operations that succeed")
    error_pct: float = Field(10, ge=0, le=100, description="Most of one kind of error among operations")
    gpu_pct: float = Field(90, ge=0, le=100, description="GPU memory in use")
    memory_pct: float = Field(90, ge=0, le=100, description="Memory in use")
    hours: float = Field(24, gt=0, le=8760, description="Hours that are looked at")
    min_operations: int = Field(5, ge=1, description="Fewer operations than this raise no alert of a share")

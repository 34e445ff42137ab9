"""What the requests of the service share, as FastAPI dependencies."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.dagster_client import DagsterClient
from yivideo_pipeline.service.media_input import MediaInput
from yivideo_pipeline.service.model_host import ModelHost
from yivideo_pipeline.service.performance.monitor import PerformanceMonitor
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.artifacts import Storage


@dataclass
class ServiceState:
    """The state of the service, made once at its start; `models` knows the present settings."""

    models: ModelHost
    storage: Storage
    admission: Admission
    started_at: float = field(default_factory=time.time)

    @property
    def settings(self) -> Settings:
        """The present settings."""
        return self.models.settings

    @property
    def scratch(self) -> Path:
        """The folder for temporary files."""
        return self.settings.home / "tmp"

    @property
    def media(self) -> MediaInput:
        """Opens the media of requests."""
        return MediaInput(self.scratch, self.settings.service.max_duration_s)

    @property
    def allowed_folders(self) -> tuple[Path, ...]:
        """The folders whose files a request may name: the library's, and those of `service.roots`."""
        return (*self.settings.library.roots.values(), *self.settings.service.roots)

    @property
    def dagster(self) -> DagsterClient:
        """The client of Dagster's webserver."""
        return DagsterClient(self.settings.service.dagster_url)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the home folder, opened at its first use."""
        return open_ledger(self.settings.home)

    @cached_property
    def performance(self) -> PerformanceMonitor:
        """The performance of the pipeline and of the service."""
        return PerformanceMonitor(
            self.settings.home, lambda: self.settings.alerts, self.admission, lambda: self.ledger
        )


def get_state(request: Request) -> ServiceState:
    """Return the state of the service that answers a request."""
    return request.app.state.shared


Shared = Annotated[ServiceState, Depends(get_state)]
"""Parameter of a route that uses the shared state."""

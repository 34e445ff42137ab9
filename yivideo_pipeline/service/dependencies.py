"""What all requests of the service share."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.models import Models
from yivideo_pipeline.service.performance.monitor import Performance
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.storage.artifacts import Storage


@dataclass
class ServiceState:
    """Made once, when the service starts; `models` knows the settings as they are now."""

    models: Models
    storage: Storage
    admission: Admission
    started_at: float = field(default_factory=time.time)

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.models.settings

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the home folder, opened when it is first asked for."""
        return Ledger(open_ledger(self.settings.home))

    @cached_property
    def performance(self) -> Performance:
        """What is known of how work goes."""
        return Performance(
            self.settings.home, lambda: self.settings.alerts, self.admission, lambda: self.ledger
        )


def _get_state(request: Request) -> ServiceState:
    return request.app.state.shared


Shared = Annotated[ServiceState, Depends(_get_state)]
"""Parameter of a route that wants the shared state."""

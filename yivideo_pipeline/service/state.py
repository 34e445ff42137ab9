"""What all requests of the service share."""

import time
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.models import Models
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.artifacts import Storage


@dataclass
class State:
    """Made once, when the service starts; `models` knows the settings as they are now."""

    models: Models
    storage: Storage
    admission: Admission
    started_at: float = field(default_factory=time.time)

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.models.settings


def _get_state(request: Request) -> State:
    return request.app.state.shared


Shared = Annotated[State, Depends(_get_state)]
"""Parameter of a route that wants the shared state."""

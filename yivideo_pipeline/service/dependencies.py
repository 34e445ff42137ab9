"""What the requests of the service share, as FastAPI dependencies: the state, and media opened as audio."""

import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import Depends, Request

from yivideo_pipeline.errors.tree import AudioTooLong
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.machine.gpu import open_first_gpu
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, WAV_HEADER_BYTES, Audio, wav_header
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.service.admission import Admission, KeyThrottle
from yivideo_pipeline.service.dagster_client import DagsterClient
from yivideo_pipeline.service.errors import note_audio, note_cost
from yivideo_pipeline.service.model_host import ModelHost
from yivideo_pipeline.service.performance.monitor import PerformanceMonitor
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.file_store import scratch_folder
from yivideo_pipeline.storage.remote_paths import AnyPath
from yivideo_pipeline.telemetry.measure import Measurement, TimeShares, measure

_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class MediaInput:
    """Opens media as audio for the recognizer.

    Attributes:
        scratch: Folder for temporary files.
        max_duration_s: Duration of the longest audio that is accepted.
    """

    scratch: Path
    max_duration_s: float

    @contextmanager
    def open_audio(self, path: Path, offset_s: float, options: SpeechOptions) -> Generator[Audio]:
        """Yield the audio of a media file, decoded where the pipeline has not decoded it already.

        Args:
            path: The file; the caller has checked that it may be read.
            offset_s: Where audio of the pipeline starts; other files state it themselves.
            options: They say which audio track is wanted.

        Raises:
            MediaError: The file can't be read, has no audio, or is too long.
        """
        if _is_pipeline_audio(path):
            yield self._accept(Audio(path, offset_s))
            return
        info = probe(path)
        self._require_short(info.duration_s or 0.0)
        stream = choose_audio_stream(info, options.language, options.audio_track)
        with scratch_folder(self.scratch) as folder:
            yield self._accept(decode_audio(path, folder / "audio.wav", stream).audio)

    @contextmanager
    def keep_file(self, upload: BinaryIO) -> Generator[Path]:
        """Write an upload to a file, and remove the file afterwards."""
        with scratch_folder(self.scratch) as folder:
            path = folder / "upload"
            with path.open("wb") as file:
                shutil.copyfileobj(upload, file, _COPY_BYTES)
            yield path

    @contextmanager
    def keep_pcm(self, upload: BinaryIO) -> Generator[Audio]:
        """Write raw 16 kHz mono 16-bit samples (little-endian) to a file, and remove the file afterwards.

        Raises:
            AudioTooLong: There are too many samples.
        """
        with scratch_folder(self.scratch) as folder:
            path = folder / "audio.wav"
            with path.open("wb") as file:
                file.write(wav_header(0))
                shutil.copyfileobj(upload, file, _COPY_BYTES)
                samples = (file.tell() - WAV_HEADER_BYTES) // 2
                file.truncate(WAV_HEADER_BYTES + 2 * samples)
                file.seek(0)
                file.write(wav_header(samples))
            yield self._accept(Audio(path))

    def _accept(self, audio: Audio) -> Audio:
        self._require_short(audio.duration_s)
        note_audio(audio.duration_s)
        return audio

    def _require_short(self, duration_s: float) -> None:
        if duration_s > self.max_duration_s + 1 / SAMPLE_RATE_HZ:
            raise AudioTooLong(
                f"The audio lasts {duration_s:.0f} s, over the service's {self.max_duration_s:.0f} s",
                "Cut it, or raise service.max_duration_s",
            )


def _is_pipeline_audio(path: Path) -> bool:
    """Return whether a file is as `media.audio` writes it: its header, then nothing but the samples.

    Others of the same format may end in the middle of a sample, or have other chunks behind the samples.
    """
    with path.open("rb") as file:
        header = file.read(WAV_HEADER_BYTES)
    samples, rest = divmod(path.stat().st_size - WAV_HEADER_BYTES, 2)
    return samples >= 0 and rest == 0 and header == wav_header(samples)


@dataclass
class ServiceState:
    """The state of the service, made once at its start; `models` knows the present settings."""

    models: ModelHost
    storage: Storage
    admission: Admission
    is_insecure: bool = False
    """Whether other machines may send requests without a key."""
    started_at: float = field(default_factory=time.time)
    wrong_keys: KeyThrottle = field(default_factory=KeyThrottle)
    cpu: TimeShares = field(default_factory=TimeShares)

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
    def allowed_folders(self) -> tuple[AnyPath, ...]:
        """The folders whose files a request may name: the library's, and those of `service.roots`."""
        return self.settings.allowed_folders

    @contextmanager
    def measured(self) -> Generator[Measurement]:
        """Measure what a request costs whose work is done inside the `with`."""
        interval_s = self.settings.telemetry.interval_s
        with self.cpu.share() as clock, measure(open_first_gpu(), interval_s, clock) as cost:
            yield cost
        note_cost(cost.summary())

    @property
    def dagster(self) -> DagsterClient:
        """The client of Dagster's webserver."""
        return DagsterClient(self.settings.service.dagster_url)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the home folder, opened at its first use."""
        return open_ledger(self.settings.home, self.settings.storage.read_database_url())

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

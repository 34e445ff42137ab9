"""Where and how large a model runs, and the next smaller way when memory runs out."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Placement:
    """Device, precision, chunks at once and CPU threads a model runs with."""

    device: str
    compute_type: str
    batch_size: int
    threads: int

    @property
    def loaded_as(self) -> tuple[str, str]:
        """What a loaded model is bound to; batch and threads are chosen at each call."""
        return self.device, self.compute_type

    def with_batch(self, wanted: int, given_way: bool) -> "Placement":
        """The same place with a call's own batch; no larger than now where memory has run out before."""
        return replace(self, batch_size=min(wanted, self.batch_size) if given_way else wanted)

    @property
    def workers(self) -> int:
        """Batches computed side by side.

        On a CPU two workers of one thread each do a decoder's small matrices about 1.4 times as
        fast as one worker of two threads.
        """
        return 1 if self.device == "cuda" else min(self.threads, self.batch_size, 4)

    @property
    def threads_per_worker(self) -> int:
        """OpenMP threads of each worker."""
        return max(1, self.threads // self.workers)

    @property
    def group_size(self) -> int:
        """Chunks that one worker takes at once, so that all together take the batch size."""
        return max(1, self.batch_size // self.workers)

    def __str__(self) -> str:
        return f"{self.device}, {self.compute_type}, batch {self.batch_size}"


# What takes less memory than a compute type, by device; quality options stay as they were asked.
_SMALLER = {
    "cuda": {
        "float32": "float16",
        "bfloat16": "int8_float16",
        "float16": "int8_float16",
        "int16": "int8",
    },
    "cpu": {"float32": "int8", "int16": "int8"},
}
CPU_BATCH = 4


def next_smaller(placement: Placement) -> Placement | None:
    """Half the batch, then a smaller compute type, then the CPU; None where nothing smaller is left."""
    if placement.batch_size > 1:
        return replace(placement, batch_size=placement.batch_size // 2)
    smaller = _SMALLER[placement.device].get(placement.compute_type)
    if smaller:
        return replace(placement, compute_type=smaller)
    if placement.device == "cuda":
        return Placement("cpu", "int8", CPU_BATCH, placement.threads)
    return None

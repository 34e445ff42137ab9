"""The memory estimate against what was measured."""

import pytest

from yivideo_pipeline.settings.resolve import estimate_memory_bytes

GPU_TABLE = [  # faster-whisper's readme: large-v2, beam 5, megabytes
    ("large-v2", "float16", 1, True, 4525),
    ("large-v2", "float16", 8, True, 6090),
    ("large-v2", "int8", 1, True, 2926),
    ("large-v2", "int8", 8, True, 4500),
]
CPU_TABLE = [  # peaks of this program, two threads, beam 5: it encodes one chunk a worker at a time
    ("base", "int8", 1, False, 754),
    ("base", "int8", 8, False, 997),
]


@pytest.mark.parametrize(("model", "kind", "batch", "cuda", "megabytes"), GPU_TABLE + CPU_TABLE)
def test_the_memory_estimate_is_within_a_quarter_of_what_was_measured(model, kind, batch, cuda, megabytes):
    estimate = estimate_memory_bytes(model, kind, batch, cuda=cuda)
    assert estimate is not None
    assert estimate / 2**20 == pytest.approx(megabytes, rel=0.25)


def test_a_model_outside_the_catalogue_has_no_estimate():
    assert estimate_memory_bytes("owner/model", "int8", 1) is None

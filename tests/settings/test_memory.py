"""The memory estimate against what was measured."""

import pytest

from yivideo_pipeline.settings.resolve import estimate_memory_bytes

GPU_TABLE = [  # faster-whisper's readme: large-v2, beam 5, megabytes
    ("large-v2", "float16", 1, True, 4525),
    ("large-v2", "float16", 8, True, 6090),
    ("large-v2", "int8", 1, True, 2926),
    ("large-v2", "int8", 8, True, 4500),
]
CPU_TABLE = [  # the same readme: small, beam 5
    ("small", "float32", 1, False, 2257),
    ("small", "float32", 8, False, 4230),
    ("small", "int8", 1, False, 1477),
    ("small", "int8", 8, False, 3608),
]


@pytest.mark.parametrize(("model", "kind", "batch", "cuda", "megabytes"), GPU_TABLE + CPU_TABLE)
def test_the_memory_estimate_is_within_a_fifth_of_what_was_measured(model, kind, batch, cuda, megabytes):
    estimate = estimate_memory_bytes(model, kind, batch, cuda=cuda)
    assert estimate is not None
    assert estimate / 2**20 == pytest.approx(megabytes, rel=0.2)


def test_a_model_outside_the_catalogue_has_no_estimate():
    assert estimate_memory_bytes("owner/model", "int8", 1) is None

"""What this machine offers to the models."""

import os

from yivideo_pipeline.settings.resolve import probe_hardware


def test_this_machine_is_probed():
    hardware = probe_hardware()
    assert 1 <= hardware.cores <= (os.cpu_count() or 1)
    assert 0 < hardware.memory_available_bytes <= hardware.memory_total_bytes
    assert {"float32", "int8"} <= hardware.cpu_compute_types
    assert hardware.has_cuda == (hardware.cuda_problem == "")

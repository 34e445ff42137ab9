import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = [
    "torch",
    "torchaudio",
    "transformers",
    "ctranslate2",
    "faster_whisper",
    "whisperx",
    "onnxruntime",
    "dagster",
    "fastapi",
    "sqlalchemy",
    "pandas",
    "matplotlib",
]


def test_layers_know_only_those_below_them():
    linter = Path(sys.executable).with_name("lint-imports")
    judged = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


def test_the_command_starts_without_heavy_libraries():
    """`yivideo --help` answers at once only as long as nothing on its way imports these."""
    code = "import json, sys, yivideo_pipeline.cli.app; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [name for name in HEAVY if name in json.loads(loaded.stdout)] == []

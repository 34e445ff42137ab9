import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from yivideo_pipeline.storage.file_store import scratch_folder


def test_the_folder_of_a_killed_writer_is_swept(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from yivideo_pipeline.storage.file_store import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1])) as work:\n"
        "    (work / 'half').write_text('x'); print(work, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        left = Path(writer.stdout.readline().decode().strip())
        with scratch_folder(tmp_path):
            assert (left / "half").is_file(), "the writer is alive"
        os.kill(writer.pid, signal.SIGKILL)
    with scratch_folder(tmp_path) as mine:
        assert not left.exists()
        assert mine.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_folder_is_removed_when_the_work_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []

"""Measures the whole system on an NVIDIA GPU, in one command of a few minutes that needs no network.

For each model that is there: `yivideo process` and faster-whisper batched on the same sound, with wall time,
use of the GPU, memory, and the time of each stage. Then, with the first model: a batch that is too large for
the card, two runs at once, the service under 8 clients. Tables are printed and the figures written as each
part ends, so that a lent machine that is taken back leaves what was measured. Without a GPU the same code
runs on the CPU.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import load as load_test
from benchmarks.clips import RATE_HZ, join_clips, load_english, write_flac
from benchmarks.compare import Row, run_once
from benchmarks.contenders import BEAM, Contender, Task, environment_of, faster_whisper, limit, yivideo
from benchmarks.gpu_figures import (
    Figures,
    cells,
    describe_machine,
    programs_table,
    show,
    stage_times,
    watch_gpu,
)
from benchmarks.gpu_libraries import provide_cublas
from benchmarks.process import measure
from benchmarks.services import run_service
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.settings.resolve import probe_hardware
from yivideo_pipeline.settings.whisper_models import MODELS
from yivideo_pipeline.speech.weights import find_weights, weights_status

ROOT = Path(__file__).resolve().parents[1]
CARRIED = ROOT / ".tools" / "gpu"
"""Where `scripts/gpu_parts.py` unpacks what was carried to a machine without a network."""
CLIENTS = 8
FIRST_S = 10.0
"""Length of the sound of the first start, in which libraries and kernels are loaded for the first time."""


@dataclass
class Bench:
    """What all parts need, and the figures so far.

    Attributes:
        tasks: Each model, precision and batch to measure; the first one is taken for the other parts.
        texts: What is said in the sound, in order.
        audio_s: Length of the sound.
        seconds: How long the service is loaded.
        ends_at: When no other measurement begins, on the monotonic clock.
    """

    tasks: list[Task]
    texts: list[str]
    audio_s: float
    folder: Path
    seconds: float
    ends_at: float
    console: Console
    output: Path | None
    figures: Figures = field(default_factory=dict)

    @property
    def has_time(self) -> bool:
        """Whether another measurement may begin."""
        return time.monotonic() < self.ends_at

    def keep(self, name: str, figures: Any) -> None:
        """Add a part's figures, and write all that there are."""
        self.figures[name] = figures
        if self.output:
            self.output.write_text(json.dumps(self.figures, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Run the parts in turn until the time is over; returns 1 if one failed, 2 without weights."""
    given = _read_arguments()
    console = Console(width=None if os.isatty(1) else 140, highlight=False)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="yivideo-gpu-") as temporary:
        try:
            bench = prepare(given, Path(temporary), console)
        except YivideoError as error:  # a model without weights
            console.print(str(error))
            return 2
        if not bench.tasks:
            console.print(f"There are no weights in {given.model_dir}: docs/gpu.md says how to carry them")
            return 2
        failed = [name for name in given.only.split(",") if not _run(name, bench)]
    console.print(f"{time.monotonic() - began:.0f} s in all; failed: {', '.join(failed) or 'nothing'}")
    return int(bool(failed))


def _run(name: str, bench: Bench) -> bool:
    if not bench.has_time:
        bench.console.print(f"{name}: left out, the time is over")
        return True
    return PARTS[name](bench)


def prepare(given: argparse.Namespace, folder: Path, console: Console) -> Bench:
    """Find libraries, weights and sound, and print what there is."""
    libraries = provide_cublas(folder / "libraries")
    hardware = probe_hardware()
    on_gpu = hardware.has_cuda if given.device == "auto" else given.device == "cuda"
    if (CARRIED / "corpus").is_dir():
        os.environ.setdefault("YIVIDEO_SPEECH_CORPUS", str(CARRIED / "corpus"))
    source, clips = load_english()
    sound, texts = join_clips(clips, given.minutes * 60)
    write_flac(sound, folder / "speech.flac")
    write_flac(sound[: round(FIRST_S * RATE_HZ)], folder / "first.flac")
    names = given.models.split(",") if given.models else _present_models(given.model_dir)
    folders = {name: find_weights(name, given.model_dir, offline=True).folder for name in names}
    ways = [
        (kind, int(batch)) for kind in given.compute_types.split(",") for batch in given.batches.split(",")
    ]
    device = "cuda" if on_gpu else "cpu"
    tasks = [
        Task(folder / "speech.flac", name, folders[name], given.model_dir, device, *way)
        for name in names
        for way in (ways if on_gpu else [("int8", 8)])
    ]
    ends_at = time.monotonic() + given.budget_s
    audio_s = len(sound) / RATE_HZ
    bench = Bench(tasks, texts, audio_s, folder, given.seconds, ends_at, console, given.output)
    machine = describe_machine(hardware, device, libraries) | {"sound": f"{audio_s:.0f} s from {source}"}
    console.print("\n".join(f"{name}: {value}" for name, value in machine.items()))
    bench.keep("machine", machine)
    return bench


# The parts


def start_first(bench: Bench) -> bool:
    """Measure the first start of all on this machine, on a short sound."""
    task = replace(bench.tasks[0], audio=bench.folder / "first.flac")
    ours, *_ = yivideo(task, bench.folder / "first")
    found = measure_contender(bench, replace(ours, output=None))
    table = programs_table(f"The first start, {_name(task)}; {FIRST_S:.0f} s of sound")
    table.add_row("yivideo process", *cells(found, FIRST_S))
    bench.console.print(table)
    bench.keep("first start", found)
    return "note" not in found


def compare_all(bench: Bench) -> bool:
    """Measure each model, precision and batch in turn, as long as there is time."""
    ended = [compare_programs(bench, task) for task in bench.tasks if bench.has_time]
    return all(ended)


def compare_programs(bench: Bench, task: Task) -> bool:
    """Measure the whole command, faster-whisper and the limit, with one model, precision and batch."""
    name = _name(task)
    folder = bench.folder / name.replace(", ", "-")
    ours, *_ = yivideo(task, folder)
    contenders = {
        "yivideo process": ours,
        "faster-whisper batched": faster_whisper(task, folder, batched=True),
    }
    if task.batch == bench.tasks[0].batch:  # it finds the best batch itself
        contenders["limit: CTranslate2 alone"] = limit(task, folder)
    table = programs_table(f"{name}; {bench.audio_s:.0f} s of sound, beam {BEAM}")
    found: Figures = {}
    for title, contender in contenders.items():
        found[title] = measure_contender(bench, contender)
        table.add_row(title, *cells(found[title], bench.audio_s))
    found["stages, s"] = stage_times(Path(ours.settings["YIVIDEO_HOME"]))
    bench.console.print(table)
    stages = ", ".join(f"{stage} {wall_s:.2f}" for stage, wall_s in found["stages, s"].items())
    bench.console.print(f"Stages of yivideo process, s: {stages}")
    bench.keep(name, found)
    return not any("note" in found[title] for title in contenders)


def measure_contender(bench: Bench, contender: Contender) -> Figures:
    """Run a program; returns its figures and the GPU's, or a note on why it failed."""
    row = Row()
    with watch_gpu() as gpu:
        run_once(contender, row, bench.folder / "log", bench.texts)
    if row.note:
        bench.console.print(f"{contender.name}: {row.note}")
        return {"note": row.note}
    (usage,) = row.runs
    host = {"wall_s": usage.wall_s, "cpu_s": usage.cpu_s, "host_mb": usage.peak_mb, "wer": row.wer}
    return {name: value if value is None else round(value, 4) for name, value in (host | gpu).items()}


def show_ladder(bench: Bench) -> bool:
    """Give the model too large a batch, and show how it went on."""
    task = bench.tasks[0]
    where = ["--model-dir", task.model_dir, "--scratch", bench.folder]
    what = ["--model", task.model_name, "--device", task.device, "--compute-type", task.compute_type]
    command = [sys.executable, "-m", "benchmarks.gpu_ladder", task.audio, *where, *what]
    log = bench.folder / "ladder"
    usage = measure(command, environment_of({}), log)
    last = log.read_text(errors="replace").strip().rpartition("\n")[2]
    if usage.exit_code:
        bench.console.print(f"Too large a batch: exit {usage.exit_code}: {last}")
        bench.keep("ladder", {"note": last})
        return False
    found = json.loads(last)
    room = "simulated: no GPU" if found["room_mb"] is None else f"{found['room_mb']} MB left on the card"
    bench.console.print(f"Too large a batch ({room}): {found['words']} words in {found['wall_s']} s")
    bench.console.print("\n".join(f"  {step}" for step in found["steps"] or ["memory did not run out"]))
    bench.keep("ladder", found)
    return bool(found["steps"]) and found["words"] > 0


def run_two_at_once(bench: Bench) -> bool:
    """Run the whole command twice, side by side."""
    runs = [yivideo(bench.tasks[0], bench.folder / f"two-{number}")[0] for number in range(2)]
    began = time.perf_counter()
    with watch_gpu() as gpu, ThreadPoolExecutor(len(runs)) as pool:
        logs = [bench.folder / f"two-{number}.log" for number in range(2)]
        usages = list(pool.map(lambda run, log: measure(run.command, run.environment, log), runs, logs))
    host = {"wall_s": time.perf_counter() - began, "host_mb": sum(usage.peak_mb for usage in usages)}
    found: Figures = host | {"cpu_s": sum(usage.cpu_s for usage in usages), "wer": None} | gpu
    table = programs_table(f"Two at once, {_name(bench.tasks[0])}")
    table.add_row("both", *cells(found, 2 * bench.audio_s))
    bench.console.print(table)
    bench.keep("two at once", found)
    return not any(usage.exit_code for usage in usages)


def load_service(bench: Bench) -> bool:
    """Load the service with clients that ask without a pause."""
    home = bench.folder / "service"
    _, asked = load_test.make_clips(home / "inbox")
    met = load_test.Met()
    with run_service(bench.tasks[0], home) as (url, pid), watch_gpu() as gpu:
        wall_s = load_test.load(url, pid, asked, CLIENTS, bench.seconds, met)
    p50, p99 = np.percentile(met.seconds, [50, 99]) if met.seconds else (None, None)
    answers = {f"{way}: {status}": count for (way, status), count in sorted(met.answers.items())}
    found: Figures = {"answers": answers, "p50_s": p50, "p99_s": p99, "rss_mb": max(met.rss_mb)} | gpu
    found["minutes_a_minute"] = met.audio_s / wall_s
    bench.console.print(f"The service, {CLIENTS} clients for {bench.seconds:.0f} s, {_name(bench.tasks[0])}")
    bench.console.print(load_test.render(met, wall_s))
    bench.console.print(f"GPU: {show(gpu['gpu_mean_pct'], '%')} used on average, {show(gpu['gpu_mb'])} MB")
    bench.keep("service", found)
    return met.statuses <= load_test.EXPECTED and bool(met.seconds)


PARTS: dict[str, Callable[[Bench], bool]] = {
    "start": start_first,
    "models": compare_all,
    "ladder": show_ladder,
    "two": run_two_at_once,
    "service": load_service,
}
"""What is measured, in order; each returns whether it went well."""


def _name(task: Task) -> str:
    return f"{task.model_name}, {task.compute_type}, batch {task.batch}"


def _present_models(model_dir: Path) -> list[str]:
    """Return the models whose weights are here, the largest first."""
    by_size = sorted(MODELS.values(), key=lambda facts: -facts.parameters)
    return [
        facts.name
        for facts in by_size
        if weights_status(facts.name, model_dir, offline=True).state != "missing"
    ]


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    carried = CARRIED / "models"
    parser.add_argument(
        "--model-dir", type=Path, default=carried if carried.is_dir() else ROOT / "data" / "models"
    )
    parser.add_argument("--models", default="", help="names, by commas; by default all that are there")
    parser.add_argument("--device", default="auto", help="auto, cuda or cpu")
    parser.add_argument("--compute-types", default="float16,int8_float16", help="of a GPU, by commas")
    parser.add_argument("--batches", default="8,24", help="of a GPU, by commas")
    parser.add_argument("--minutes", type=float, default=11, help="length of the sound")
    parser.add_argument("--seconds", type=float, default=20, help="how long the clients ask")
    parser.add_argument("--budget-s", type=float, default=400, help="after that no other part begins")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, by commas: {', '.join(PARTS)}")
    parser.add_argument("--output", type=Path, help="JSON file of all figures")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())

"""Which model `auto` means: machines of several sizes, with some, all or no weights."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from yivideo_pipeline.machine.gpu import Gpu
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import Hardware, check_machine, estimate_memory_bytes
from yivideo_pipeline.settings.whisper_models import MODELS
from yivideo_pipeline.speech import model_choice
from yivideo_pipeline.speech.model_choice import ModelChoice, ModelChooser, choose_model
from yivideo_pipeline.speech.weights import WeightsStatus, show_size

GB = 10**9
GIB = 2**30
CPU_TYPES = frozenset({"int8", "float32"})
CUDA_TYPES = frozenset({"float32", "float16", "int8", "int8_float16"})


def host(memory_gb: float, free_gb: float | None = None) -> Hardware:
    free = memory_gb if free_gb is None else free_gb
    return Hardware(4, int(free * GB), int(memory_gb * GB), (), CPU_TYPES, frozenset(), "no driver")


def gpu(memory_gib: float, free_gib: float | None = None) -> Hardware:
    free = memory_gib if free_gib is None else free_gib
    card = Gpu("NVIDIA GPU", int(memory_gib * GIB), int(free * GIB))
    return Hardware(8, 30 * GB, 32 * GB, (card,), CPU_TYPES, CUDA_TYPES)


@dataclass
class Hub:
    """Weights that are on the machine, and those of the hub; `asked` are those that it was asked for."""

    here: Collection[str] = ()
    has: Collection[str] = ()
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def status(self, name: str, asks_hub: bool) -> WeightsStatus:
        if name in self.here:
            return WeightsStatus("present", "/models")
        if not asks_hub:
            return WeightsStatus("missing", "not asked")
        self.asked.append(name)
        if self.down:
            return WeightsStatus("missing", "the hub did not answer", may_pass=True)
        if name not in self.has:
            return WeightsStatus("missing", "downloads are switched off (hub.offline)")
        return WeightsStatus("fetchable", "from the hub", download_bytes=MODELS[name].download_bytes)


def online(*here: str) -> Hub:
    return Hub(here, has=MODELS)


def offline(*here: str) -> Hub:
    return Hub(here)


def choose(hardware: Hardware, hub: Hub, **options: object) -> ModelChoice:
    return choose_model(SpeechOptions.model_validate(options), hardware, hub.status)


def model(hardware: Hardware, hub: Hub, **options: object) -> str:
    return choose(hardware, hub, **options).options.model_name


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (gpu(2), "base"),
        (gpu(3), "base"),
        (gpu(4), "small"),
        (gpu(6), "large-v3-turbo"),
        (gpu(8), "large-v3-turbo"),
        (gpu(12), "large-v3-turbo"),
        (gpu(24), "large-v3-turbo"),
        (host(1), "tiny"),
        (host(1.5), "tiny"),
        (host(2.1), "base"),
        (host(4), "base"),
        (host(16), "base"),
        (host(256), "base"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_machine_with_a_network_gets_the_best_model_for_its_device(machine, expected):
    found = choose(machine, online("base"))
    assert found.options.model_name == expected
    assert check_machine(found.options, machine) == []


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(gpu(4), "small"), (gpu(6), "medium"), (gpu(8), "large-v3"), (gpu(24), "large-v3"), (host(16), "base")],
)
def test_a_translation_is_not_left_to_turbo_which_never_learned_it(machine, expected):
    assert model(machine, online("large-v3-turbo"), task="translate") == expected


def test_cantonese_goes_to_a_model_that_knows_it_or_says_that_there_is_none():
    assert model(gpu(12), online(), language="yue") == "large-v3-turbo"
    assert model(gpu(12), online(), language="yue", task="translate") == "large-v3"
    assert model(host(16), online("base"), language="yue") == "large-v3-turbo"
    assert model(host(16), offline("base"), language="yue") == "large-v3-turbo"  # it is told what is missing


@pytest.mark.parametrize(
    ("machine", "here", "expected"),
    [
        (gpu(12), ["base"], "base"),
        (gpu(12), ["base", "small"], "small"),
        (gpu(12), ["base", "medium", "large-v2"], "large-v2"),
        (gpu(12), ["large-v2", "large-v3-turbo"], "large-v3-turbo"),
        (gpu(6), ["base", "large-v2"], "base"),  # large-v2 would leave nothing for the word aligner
        (host(16), ["large-v2"], "large-v2"),
        (host(16), ["small", "large-v2"], "small"),
        (host(1.5), ["base"], "base"),
        (host(1.5), ["base", "tiny"], "tiny"),
        (host(1), ["base"], "base"),  # checking it tells that memory is missing
        (host(16), [], "base"),
        (gpu(12), [], "large-v3-turbo"),
    ],
)
def test_a_machine_without_a_network_takes_the_best_of_what_it_has(machine, here, expected):
    assert model(machine, offline(*here)) == expected


def test_a_large_model_that_is_here_is_preferred_to_the_download_of_another():
    found = choose(gpu(12), online("base", "large-v2"))
    assert found.sentence == (
        "large-v2, chosen for a GPU with 12.9 GB (it is on this machine, large-v3-turbo is not)"
    )


def test_a_better_class_of_models_is_worth_a_download():
    assert model(gpu(12), online("base", "small", "medium")) == "large-v3-turbo"


def test_a_private_hub_that_lacks_the_best_model_is_asked_for_the_next_one():
    hub = Hub(["base"], has=["large-v2", "medium"])
    assert choose(gpu(12), hub).sentence == (
        "large-v2, chosen for a GPU with 12.9 GB"
        " (large-v3-turbo can't be had: downloads are switched off (hub.offline))"
    )
    assert hub.asked == ["large-v3-turbo", "large-v3", "large-v2"]


def test_a_hub_that_does_not_answer_is_asked_once():
    hub = Hub(["base"], down=True)
    assert choose(gpu(12), hub).reason == (
        "chosen for a GPU with 12.9 GB (large-v3-turbo can't be had: the hub did not answer)"
    )
    assert hub.asked == ["large-v3-turbo"]


def test_the_hub_is_not_asked_where_the_best_model_is_here():
    hub = online("base")
    assert model(host(16), hub) == "base"
    assert hub.asked == []


def test_english_takes_the_english_model_only_where_the_other_is_not_here():
    assert model(host(1.5), offline("base", "tiny.en"), language="en") == "tiny.en"
    assert model(host(1.5), offline("base", "tiny.en")) == "base"
    assert model(host(16), online("base", "base.en"), language="en") == "base"
    assert model(host(16), offline("base.en"), language="en", task="translate") == "base"


def test_what_is_free_at_the_moment_changes_nothing():
    for full, idle in ((gpu(12, free_gib=0.1), gpu(12)), (host(4, free_gb=0.2), host(4))):
        assert choose(full, online("base")) == choose(idle, online("base"))


def test_the_reason_tells_what_keeps_a_better_model_away():
    assert choose(host(1.5), online("base")).sentence == (
        "tiny, chosen for a CPU with 1.5 GB of memory (base wants 2.0 GB)"
    )
    assert choose(gpu(4), online()).sentence == (
        "small, chosen for a GPU with 4.3 GB (large-v3-turbo wants 5.3 GB)"
    )
    assert choose(host(16), online("base")).sentence == "base, chosen for a CPU with 16.0 GB of memory"
    assert choose(host(1.5), offline("base")).reason.endswith(
        "(base wants 2.0 GB, but no other model can be had)"
    )


def test_the_device_that_was_asked_for_decides():
    assert model(gpu(24), online("base"), device="cpu") == "base"
    assert model(host(16), online("base"), device="cuda") == "base"  # checking it tells that there is no GPU


def test_a_large_batch_leaves_less_room_for_the_model():
    assert model(gpu(6), online(), batch_size=32) == "base"
    assert model(gpu(12), online(), batch_size=32) == "large-v3-turbo"


def test_a_gpu_whose_memory_is_not_reported_counts_as_large_enough():
    silent = replace(gpu(12), gpus=())
    assert choose(silent, online()).sentence == "large-v3-turbo, chosen for a GPU"


def test_whisperx_own_pipeline_gets_the_same_models():
    assert model(gpu(12), online("base"), use_faster_whisper=False) == "large-v3-turbo"


@pytest.mark.parametrize("name", ["tiny", "large-v2", "owner/model"])
def test_a_model_that_is_named_stays_and_nothing_is_looked_up(name):
    hub = Hub()
    found = choose(host(0.1), hub, model_name=name)
    assert (found.options.model_name, found.reason, found.sentence) == (name, "", name)
    assert hub.asked == []


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hardware], None]:
    """Sets the machine that the chooser finds."""
    return lambda machine: monkeypatch.setattr(model_choice, "probe_hardware", lambda: machine)


def test_a_process_decides_once_whatever_else_a_call_asks_for(tmp_path, probed):
    chooser = ModelChooser(tmp_path, offline=True)
    probed(host(16))
    first = chooser.choose(SpeechOptions())
    probed(host(1))
    again = chooser.choose(SpeechOptions(initial_prompt="Yivideo", temperature=0.5))
    assert again.options == SpeechOptions(model_name="base", initial_prompt="Yivideo", temperature=0.5)
    assert again.reason == first.reason


ROOT = Path(__file__).resolve().parents[2]


def rows_of(heading: str, file: str = "docs/models.md") -> list[list[str]]:
    """The rows of the table below a heading of a page."""
    section = (ROOT / file).read_text(encoding="utf-8").partition(f"## {heading}")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines[2:]]


@pytest.mark.parametrize(
    ("heading", "file", "count"),
    [
        ("Which model for which machine", "docs/models.md", 10),
        ("Which model for which machine", "README.md", 5),
    ],
)
def test_the_documented_machines_get_the_documented_models(heading, file, count):
    rows = rows_of(heading, file)
    assert len(rows) == count
    for machine, transcribed, translated in rows:
        device, size = machine.split(", ")
        hardware = {"GPU": gpu, "CPU": host}[device](float(size.removesuffix(" GB")))
        found = [model(hardware, online(), task=task) for task in ("transcribe", "translate")]
        assert found == [transcribed, translated], machine


def test_the_documented_needs_are_those_of_the_estimate():
    rows = rows_of("What each model needs")
    assert {row[0] for row in rows} == {name for rung in model_choice.ON_CUDA for name in rung.models}
    for name, *needs in rows:
        on_gpu = estimate_memory_bytes(name, "float16", 8, cuda=True)
        on_cpu = estimate_memory_bytes(name, "int8", 8)
        assert on_gpu and on_cpu
        assert needs == [
            show_size(MODELS[name].download_bytes),
            *(f"{n / GB:.1f} GB" for n in (on_gpu, on_cpu)),
        ]

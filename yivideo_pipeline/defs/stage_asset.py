"""The asset around a stage: what all five have in common."""

import inspect
import warnings
from collections.abc import Iterator

import dagster as dg

from yivideo_pipeline.defs.checks import specs_of
from yivideo_pipeline.defs.execution import Make
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.multi_run import Event, Group
from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.defs.resources import Library, SpeechResource
from yivideo_pipeline.defs.runs import tag_run, trigger_of
from yivideo_pipeline.defs.single import PERSONS, make_one
from yivideo_pipeline.defs.stage import Tools
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.stages import CODE_VERSIONS, GPU_POOL, GROUP, OWNERS, UPSTREAM
from yivideo_pipeline.storage.artifacts import Storage


def build_asset(
    name: str, make: Make, settings: Settings, kinds: set[str], domain: str, *, needs_model: bool = False
) -> dg.AssetsDefinition:
    """Build a stage's asset, with its checks.

    Args:
        name: The stage's name, which is the asset's.
        make: What the stage does for one video; its docstring describes the asset.
        settings: The process's settings.
        kinds: What the UI shows of it.
        domain: The part of the pipeline that it belongs to.
        needs_model: It takes turns with all other steps that use a model.
    """

    def stage(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[Storage],
        library: dg.ResourceParam[Library],
        speech: dg.ResourceParam[SpeechResource],
        launch: Launch,
        ledger: dg.ResourceParam[Ledger],
    ) -> Iterator[Event]:
        background = trigger_of(context.run) not in PERSONS
        tools = Tools(storage, library, speech, launch, ledger, background)
        try:
            tag_run(context, tools)
            if context.has_partition_key:
                yield from make_one(context, tools, make)
            else:
                yield from Group(context, tools, make).run()
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            # Ctrl-C in a terminal cancels the run. In a run of the services it means that they are being
            # stopped: Dagster counts it as failed then, and takes it up again when they are back.
            if trigger_of(context.run) == "cli":
                context.instance.report_run_canceling(context.run)
            raise

    with warnings.catch_warnings():
        # A policy for backfills is beta in Dagster; what it must do is tested.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.asset(
            name=name,
            description=inspect.getdoc(make),
            deps=UPSTREAM[name],
            partitions_def=videos,
            code_version=CODE_VERSIONS[name],
            group_name=GROUP,
            owners=OWNERS,
            kinds=kinds,
            tags={"domain": domain},
            pool=GPU_POOL if needs_model else None,
            backfill_policy=dg.BackfillPolicy.multi_run(settings.runs.group_size),
            check_specs=specs_of(name, settings),
        )(stage)

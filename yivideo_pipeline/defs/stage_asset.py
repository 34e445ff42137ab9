"""The decorator that makes a function of one stage a Dagster asset, for runs of one video and of many."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType

import dagster as dg

from yivideo_pipeline.defs.checks.catalogue import specs_of
from yivideo_pipeline.defs.execution import MakeStage, SingleRun, StepEvent
from yivideo_pipeline.defs.interruption import cancel_users_run
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.multi_run import MultiRun
from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.defs.runs import USER_TRIGGERS, tag_run, trigger_of
from yivideo_pipeline.defs.stage import StageResources
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.stages import GPU_POOL, GROUP, OWNERS, STAGES
from yivideo_pipeline.storage.artifacts import Storage


@dataclass(frozen=True)
class StageAsset:
    """A stage's function with what Dagster shows of it; an asset once the settings are known.

    Attributes:
        name: The stage's, and the asset's.
        make: Does the stage for one video; its docstring is the asset's description.
        kinds: Kinds that the UI shows.
        domain: The part of the pipeline that the stage belongs to.
    """

    name: str
    make: MakeStage
    kinds: set[str]
    domain: str

    def build(self, checks: CheckSettings, group_size: int) -> dg.AssetsDefinition:
        """Build the asset, with its checks.

        Args:
            checks: Which checks there are, and how much they matter.
            group_size: The most videos of a backfill that share a run.
        """
        spec = STAGES[self.name]
        with warnings.catch_warnings():
            # A policy for backfills is beta in Dagster; tests cover what it must do.
            warnings.simplefilter("ignore", dg.BetaWarning)
            return dg.asset(
                name=spec.name,
                description=inspect.getdoc(self.make),
                deps=spec.upstream,
                partitions_def=videos,
                code_version=spec.code_version,
                group_name=GROUP,
                owners=OWNERS,
                kinds=self.kinds,
                tags={"domain": self.domain},
                pool=GPU_POOL if spec.uses_model else None,
                backfill_policy=dg.BackfillPolicy.multi_run(group_size),
                check_specs=specs_of(spec.name, checks),
                config_schema={},  # otherwise Dagster takes any
            )(_step_function(self.make))


def stage_asset(*, kinds: set[str], domain: str) -> Callable[[FunctionType], StageAsset]:
    """Decorate a function that does one stage for one video; its name is the stage's."""

    def decorate(make: FunctionType) -> StageAsset:
        return StageAsset(make.__name__, make, kinds, domain)

    return decorate


def _step_function(make: MakeStage) -> Callable[..., Iterator[StepEvent]]:
    def step(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[Storage],
        library: dg.ResourceParam[Library],
        launch: Launch,
        ledger: dg.ResourceParam[Ledger],
    ) -> Iterator[StepEvent]:
        background = trigger_of(context.run) not in USER_TRIGGERS
        resources = StageResources(storage, library, launch.models, launch, ledger, background)
        execution = SingleRun if context.has_partition_key else MultiRun
        try:
            tag_run(context, launch)
            yield from execution(context, resources, make).run()
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            cancel_users_run(context.instance, context.run_id)
            raise

    return step

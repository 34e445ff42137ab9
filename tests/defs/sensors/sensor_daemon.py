"""One tick of the real sensor daemon on the real definitions; as a program, it dies at a given point."""

import argparse
import logging
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import (
    InProcessTestWorkspaceLoadTarget,
    create_test_daemon_workspace_context,
    freeze_time,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.sensor import execute_sensor_iteration

from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.sensors.new_videos import NAME
from yivideo_pipeline.stages import LOCATION

DEFINITIONS = InProcessCodeLocationOrigin(  # ty: ignore[abstract-class-instantiation]
    LoadableTargetOrigin(module_name="yivideo_pipeline.definitions"), location_name=LOCATION
)


Tick = Callable[..., None]


@contextmanager
def daemon(instance: dg.DagsterInstance) -> Generator[Tick]:
    """Lend the daemon's tick: it evaluates the sensors and submits what they ask for.

    The tick takes `later_s`, the seconds from now at which it is (the daemon keeps the sensors' pace), and
    `die_at`, a point of Dagster's at which this process kills itself.

    Args:
        instance: Where runs are recorded; nothing takes them from its queue.
    """
    target = InProcessTestWorkspaceLoadTarget(DEFINITIONS)
    with create_test_daemon_workspace_context(target, instance) as workspace:

        def tick(later_s: float = 0, die_at: str | None = None) -> None:
            crash = {NAME: {die_at: signal.SIGKILL}} if die_at else None
            logger = logging.getLogger()
            with freeze_time(time.time() + later_s):
                list(execute_sensor_iteration(workspace, logger, None, None, debug_crash_flags=crash))

        yield tick


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("die_at")
    arguments = parser.parse_args()
    with open_instance(arguments.home) as instance, daemon(instance) as tick:
        tick(die_at=arguments.die_at)

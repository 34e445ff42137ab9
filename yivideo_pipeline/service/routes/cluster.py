"""`/api/v1/cluster`: the nodes, the replicas, what each of them does, and why there are so many."""

from collections.abc import Sequence

from fastapi import APIRouter
from pydantic import BaseModel

from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.remote.ray_dashboard import (
    ClusterEvent,
    ClusterNode,
    ClusterReplica,
    RayDashboard,
    ServeState,
)
from yivideo_pipeline.remote.replica_engine import ReplicaWork
from yivideo_pipeline.remote.replicas import ReplicaModels
from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.errors import Refused

router = APIRouter(prefix="/api/v1/cluster", tags=["cluster"])


class RequestInWork(BaseModel):
    """A request in work: what is done, to how much sound, since when, how far, and how often it was sent.

    Attempts after the first one go on with what was finished.
    """

    kind: str
    model: str
    sound_s: float
    since: float
    fraction: float
    background: bool
    attempts: int


class ReplicaInWork(ClusterReplica):
    """A replica, the requests that it works on, and how many it has done for this gateway."""

    requests: tuple[RequestInWork, ...]
    done: int


class ClusterStatus(BaseModel):
    """The cluster as this gateway sees it; `problem` says what can't be seen at present.

    `waiting` are requests that no replica has begun yet; `events` are the latest decisions and ends.
    """

    status: str
    message: str
    problem: str | None
    wanted: int
    nodes: tuple[ClusterNode, ...]
    replicas: tuple[ReplicaInWork, ...]
    waiting: tuple[RequestInWork, ...]
    events: tuple[ClusterEvent, ...]


@router.get("")
def status(shared: Shared) -> ClusterStatus:
    """Return the nodes and replicas, what each replica does now, and the latest events with their reasons."""
    models = shared.models.manager
    if not isinstance(models, ReplicaModels):
        hint = "Start the service by `yivideo cluster up`, or set cluster.replicas_url"
        raise Refused(404, "no_cluster", "This service holds its model itself", hint)
    dashboard = RayDashboard(shared.settings.cluster.dashboard_url)
    unknown = ServeState(status="UNKNOWN", message="", wanted=0, replicas=())
    serve, nodes, problem = unknown, (), None
    try:
        serve, nodes = dashboard.serve_state(with_events=True), dashboard.nodes()
    except ServiceUnreachable as error:
        problem = error.message
    work, done = models.work, models.done
    return ClusterStatus(
        status=serve.status,
        message=serve.message,
        problem=problem,
        wanted=serve.wanted,
        nodes=nodes,
        replicas=tuple(
            ReplicaInWork(
                **one.model_dump(),
                requests=_show([request for request in work if request.replica == one.id]),
                done=done.get(one.id, 0),
            )
            for one in serve.replicas
        ),
        waiting=_show([request for request in work if not request.replica]),
        events=serve.events,
    )


def _show(work: Sequence[ReplicaWork]) -> tuple[RequestInWork, ...]:
    return tuple(RequestInWork.model_validate(vars(request)) for request in work)

"""A replica: the speech routes of the service around one model, held by Ray Serve.

Ray imports this module on each machine of the cluster; `build` is what a Serve configuration names.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from ray import serve
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yivideo_pipeline.machine.heap import share_one_heap
from yivideo_pipeline.machine.openmp import let_waiting_threads_sleep
from yivideo_pipeline.remote.replicas import REPLICA_HEADER, model_id
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.connections import BodyLimit, spool_under
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import add_error_handlers
from yivideo_pipeline.service.middleware import Access
from yivideo_pipeline.service.model_host import ModelHost
from yivideo_pipeline.service.routes import speech
from yivideo_pipeline.settings.cluster import ClusterSettings
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.artifacts import Storage

SLOTS = 1000
"""Requests that a replica takes: the gateway bounds them, and the replica's queue knows who goes first."""
DRAIN_S = 600.0
"""How long a replica that is not needed any more may finish its requests."""
UPSCALE_S = 10.0
DOWNSCALE_S = 300.0
"""How long there must be too many or too few requests before replicas are added or removed."""
HEALTH_S = 5.0

log = logging.getLogger(__name__)


def build_app() -> FastAPI:
    """Return the application of one replica, with its model loaded.

    Raises:
        YivideoError: The model can't be loaded.
    """
    share_one_heap()
    let_waiting_threads_sleep()
    settings = load_settings()
    apply_environment(settings)
    host = ModelHost(_of_a_replica(settings))
    scratch = settings.home / "tmp"
    shared = ServiceState(host, Storage(settings.storage.root, scratch), Admission(SLOTS))
    app = FastAPI(openapi_url=None, lifespan=_announcing(host))
    app.state.shared = shared
    app.include_router(speech.router)
    add_error_handlers(app)
    app.add_middleware(BodyLimit, max_mb=lambda: settings.service.max_upload_mb)
    app.add_middleware(Access, service=lambda: settings.service, insecure=True, throttle=shared.wrong_keys)
    app.add_middleware(Signature)
    spool_under(scratch).__enter__()  # as long as the process lives
    with host.manager.lease():
        log.info("The model is loaded: %s", host.manager.info())
    return app


def _announcing(host: ModelHost) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Announce the loaded model at the start.

    Ray sends requests for a model to replicas that have announced it, as long as there is one: the others
    would stay idle for ever.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        await announce_model(model_id(host.local.choose(host.settings.speech.options).options))
        yield

    return lifespan


def _of_a_replica(settings: Settings) -> Settings:
    """Return the settings for a model in this process, which stays until the replica ends."""
    return settings.model_copy(
        update={
            "cluster": settings.cluster.model_copy(update={"replicas_url": None}),
            "service": settings.service.model_copy(update={"idle_unload_s": None}),
        }
    )


@serve.multiplexed(max_num_models_per_replica=1)
async def announce_model(name: str) -> str:
    """Announce that this replica has a model, so that further requests for it are sent here."""
    return name


class Signature:
    """Names the replica in each answer, and announces the model that a request brings with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if model := serve.get_multiplexed_model_id():
            await announce_model(model)
        name = serve.get_replica_context().replica_id.unique_id

        async def sign(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REPLICA_HEADER] = name
            await send(message)

        await self._app(scope, receive, sign)


@serve.deployment(name="replicas")
@serve.ingress(build_app)
class SpeechReplica:
    """One model on one device."""


def build(_arguments: Mapping[str, Any]) -> serve.Application:
    """Return the application as the settings of the head want it."""
    cluster = load_settings().cluster
    return SpeechReplica.options(**deployment_options(cluster)).bind()


def deployment_options(cluster: ClusterSettings) -> dict[str, Any]:
    """Return how many replicas there are, what each has, and how it ends."""
    return {
        "ray_actor_options": {
            "num_cpus": cluster.cpus_per_replica,
            "num_gpus": cluster.gpus_per_replica,
        },
        "autoscaling_config": {
            "min_replicas": cluster.min_replicas,
            "max_replicas": cluster.max_replicas,
            "target_ongoing_requests": cluster.requests_per_replica,
            "upscale_delay_s": UPSCALE_S,
            "downscale_delay_s": DOWNSCALE_S,
        },
        "max_ongoing_requests": SLOTS,
        "graceful_shutdown_timeout_s": DRAIN_S,
        "health_check_period_s": HEALTH_S,
        "health_check_timeout_s": 2 * HEALTH_S,
    }

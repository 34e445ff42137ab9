"""The FastAPI application: its state, its middleware, its routers and its lifespan."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.errors.tree import ModelBusy
from yivideo_pipeline.remote.replicas import ReplicaModels
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.connections import BodyLimit, spool_under
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import ERROR_RESPONSES, add_error_handlers
from yivideo_pipeline.service.middleware import Access, JsonBodies, Metering, require_safe
from yivideo_pipeline.service.model_host import ConfigWatch, ModelHost
from yivideo_pipeline.service.pages import dashboard, docs, library, login, many_videos, settings_page
from yivideo_pipeline.service.pages import review as review_page
from yivideo_pipeline.service.pages.frame import PageHeaders, static_files
from yivideo_pipeline.service.performance import routes as performance
from yivideo_pipeline.service.review import editing
from yivideo_pipeline.service.review import routes as review
from yivideo_pipeline.service.routes import asr_webservice, cluster, health, model, openai, speech
from yivideo_pipeline.service.workflows import routes as workflows
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.storage.artifacts import Storage

log = logging.getLogger(__name__)

CLOSE_S = 10.0
"""How long requests that were cut off may take to notice it."""
ROUTERS = [
    health.router,
    model.router,
    cluster.router,
    speech.router,
    openai.router,
    asr_webservice.router,
    workflows.router,
    editing.router,
    review.router,
    review_page.router,
    performance.router,
    login.router,
    dashboard.router,
    library.router,
    many_videos.router,
    settings_page.router,
    docs.router,
]


def create_app(settings: Settings, config: Path | None = None, insecure: bool = False) -> FastAPI:
    """Return the application; no model is loaded yet.

    Args:
        settings: The settings at the start.
        config: The settings file, which is read again when it changes or a client asks for it.
        insecure: Whether other machines may send requests without a key.

    Raises:
        ConfigValidationError: Other machines could send requests without a key.
    """
    require_safe(settings.service, insecure)
    models = ModelHost(settings, config)
    scratch = settings.home / "tmp"

    def lock_for_all_hosts(name: str) -> AbstractContextManager[object]:
        return shared.ledger.leases.hold(name)

    locks = lock_for_all_hosts if settings.storage.read_database_url() else None
    storage = Storage(settings.storage.root, scratch, locks)
    shared = ServiceState(models, storage, Admission(settings.service.max_requests), insecure)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        watch = ConfigWatch(models.config_places, models.reload)
        watch.start()
        monitoring = asyncio.create_task(shared.performance.watch())
        with spool_under(scratch):
            yield
        monitoring.cancel()
        await run_in_threadpool(watch.stop)
        await run_in_threadpool(_close, models.manager)
        await run_in_threadpool(shared.performance.close)

    app = FastAPIOffline(
        title="yivideo",
        summary="Word-aligned subtitles",
        lifespan=lifespan,
        responses=ERROR_RESPONSES,
        docs_url=None,  # `pages/docs.py` shows it in our frame
        redoc_url=None,
    )
    app.state.shared = shared
    app.add_middleware(JsonBodies)
    app.add_middleware(BodyLimit, max_mb=lambda: models.settings.service.max_upload_mb)
    app.add_middleware(
        Access, service=lambda: models.settings.service, insecure=insecure, throttle=shared.wrong_keys
    )
    app.add_middleware(PageHeaders)
    app.add_middleware(Metering, performance=shared.performance)  # outermost: refused requests count too
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", static_files, "static")
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))
    shared.performance.counters.expect_requests(routes)
    return app


def _close(manager: ModelManager | ReplicaModels) -> None:
    try:
        manager.close(CLOSE_S)
    except ModelBusy as busy:
        log.warning("The service ends while requests are in progress: %s", busy.message)

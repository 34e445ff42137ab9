"""The application: what is asked goes to one module each, what all share is made here."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.errors.tree import ModelBusy
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import ERRORS, handle_errors
from yivideo_pipeline.service.middleware import Access, BodyLimit, Metering, require_safe, spool_under
from yivideo_pipeline.service.models import ConfigWatch, Models
from yivideo_pipeline.service.pages import dashboard, library, login
from yivideo_pipeline.service.pages import review as review_page
from yivideo_pipeline.service.pages.frame import PageHeaders, static_files
from yivideo_pipeline.service.performance import routes as performance
from yivideo_pipeline.service.review import routes as review
from yivideo_pipeline.service.routes import asr_webservice, health, speech
from yivideo_pipeline.service.routes import model as model_api
from yivideo_pipeline.service.routes import openai as openai_api
from yivideo_pipeline.service.workflows import routes as workflows
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.storage.artifacts import Storage

log = logging.getLogger(__name__)

CLOSE_S = 10.0
"""How long requests that were cut off may take to notice it."""
ROUTERS = [
    health.router,
    model_api.router,
    speech.router,
    openai_api.router,
    asr_webservice.router,
    workflows.router,
    review.router,
    review_page.router,
    performance.router,
    login.router,
    dashboard.router,
    library.router,
]


def create_app(settings: Settings, config: Path | None = None, insecure: bool = False) -> FastAPI:
    """Make the application; nothing is loaded yet.

    Args:
        settings: As they are at the start.
        config: The settings file, to be read again when somebody asks for it.
        insecure: Whether other machines may ask without a key.

    Raises:
        ConfigValidationError: other machines could ask without a key.
    """
    require_safe(settings.service, insecure)
    models = Models(settings, config)
    shared = ServiceState(
        models,
        Storage(settings.storage.root, settings.home / "tmp"),
        Admission(settings.service.max_requests),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        watch = ConfigWatch(models.config_places, models.reload)
        watch.start()
        looking = asyncio.create_task(shared.performance.watch())
        with spool_under(settings.home / "tmp"):
            yield
        looking.cancel()
        await run_in_threadpool(watch.stop)
        await run_in_threadpool(_close, models)
        await run_in_threadpool(shared.performance.close)

    app = FastAPIOffline(
        title="yivideo", summary="Word-aligned subtitles", lifespan=lifespan, responses=ERRORS, redoc_url=None
    )
    app.state.shared = shared
    app.add_middleware(BodyLimit, most_mb=lambda: models.settings.service.max_upload_mb)
    app.add_middleware(Access, service=settings.service, insecure=insecure)
    app.add_middleware(PageHeaders)
    app.add_middleware(Metering, performance=shared.performance)  # outermost: what is refused counts too
    handle_errors(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", static_files, "static")
    return app


def _close(models: Models) -> None:
    try:
        models.close(CLOSE_S)
    except ModelBusy as busy:
        log.warning("The service ends in the middle of work: %s", busy.message)

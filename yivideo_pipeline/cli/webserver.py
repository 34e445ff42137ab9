"""Dagster's webserver behind a guard, with our pictures: a program of `yivideo up`, with Dagster's options.

Dagster lets whoever reaches its port do anything, by GET too. It listens on this machine alone, but every
page that is open in a browser here can reach it: an image whose address is a mutation would start runs.
"""

from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from yivideo_pipeline.machine.garbage import search_garbage_seldom
from yivideo_pipeline.service.foreign_requests import find_foreign
from yivideo_pipeline.settings.sections import LOOPBACK


class PageGuard:
    """Refuses what pages of other sites send, and mutations that are sent by GET.

    Args:
        app: Dagster's application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it: 400 foreign host, 403 foreign page, 405 mutation by GET."""
        refusal = _refuse(HTTPConnection(scope)) if scope["type"] in ("http", "websocket") else None
        await (refusal or self._app)(scope, receive, send)


def _refuse(connection: HTTPConnection) -> Response | None:
    if foreign := find_foreign(connection, LOOPBACK):
        return PlainTextResponse(foreign.message, foreign.status)
    if connection.scope.get("method") != "POST" and _holds_mutation(connection.query_params.get("query", "")):
        return PlainTextResponse("Send mutations by POST", 405, {"Allow": "POST"})
    return None


def _holds_mutation(query: str) -> bool:
    try:
        definitions = parse(query).definitions
    except GraphQLSyntaxError:
        return False  # Dagster refuses it
    return any(
        isinstance(one, OperationDefinitionNode) and one.operation == OperationType.MUTATION
        for one in definitions
    )


def picture(request: Request) -> Response:
    """Return the picture of an artifact, whose folder is the path; 404 if there is none.

    Where artifacts are is read from today's settings, as the runs do. A picture never changes.
    """
    from yivideo_pipeline.defs.previews import draw_picture
    from yivideo_pipeline.settings.load import load_settings
    from yivideo_pipeline.storage.artifacts import Storage

    settings = load_settings()
    storage = Storage(settings.storage.root, settings.home / "tmp")
    found = draw_picture(storage, request.path_params["folder"])
    if found is None:
        return PlainTextResponse("There is no such picture", 404)
    keep = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(found.data, media_type=found.media_type, headers=keep)


if __name__ == "__main__":
    search_garbage_seldom()
    from yivideo_pipeline.defs.dagster_internals import run_webserver
    from yivideo_pipeline.defs.previews import ADDRESS

    run_webserver(PageGuard, [Route(f"{ADDRESS}{{folder:path}}", picture)])

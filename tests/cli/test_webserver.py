"""The guard in front of Dagster's UI; `up/test_up.py` shows that it stands there."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from yivideo_pipeline.cli.webserver import PageGuard

OURS = "http://127.0.0.1:3000"
MUTATION = {"query": "mutation { terminateRun(runId: 1) { __typename } }"}
HOST = {"Host": "127.0.0.1:3000"}
FOREIGN_PAGES = [
    {"Origin": "http://evil.com"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.fixture(scope="module")
def client():
    """A client of an application that answers whatever the guard lets pass."""

    async def accept(websocket):
        await websocket.accept()
        await websocket.close()

    methods = ["GET", "POST", "HEAD"]
    routes = [
        WebSocketRoute("/graphql", accept),
        Route("/{path:path}", lambda _request: PlainTextResponse("passed"), methods=methods),
    ]
    return TestClient(PageGuard(Starlette(routes=routes)), base_url=OURS)


@pytest.mark.parametrize("host", ["evil.com", "evil.com:3000", "127.0.0.1.evil.com", "[", ""])
def test_a_foreign_host_is_refused_whatever_it_asks(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 400
    assert client.post("/graphql", json=MUTATION, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "[::1]:3000", "localhost"])
def test_this_machine_s_names_are_ours(client, host):
    assert client.get("/", headers={"Host": host}).text == "passed"


@pytest.mark.parametrize("page", FOREIGN_PAGES)
def test_a_foreign_page_can_change_nothing(client, page):
    assert client.post("/graphql", json=MUTATION, headers=page).status_code == 403
    assert client.post("/report_asset_materialization/video", headers=page).status_code == 403


@pytest.mark.parametrize("page", FOREIGN_PAGES)
def test_a_foreign_page_opens_no_websocket(client, page):
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/graphql", headers={**page, **HOST}),
    ):
        pass
    assert refused.value.status_code == 403


def test_dagster_s_own_page_and_programs_are_let_through(client):
    own = {"Origin": OURS, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/graphql", json=MUTATION, headers=own).text == "passed"
    assert client.post("/graphql", json=MUTATION).text == "passed"
    with client.websocket_connect("/graphql", headers={**own, **HOST}):
        pass


@pytest.mark.parametrize(
    "query",
    [
        "mutation { a }",
        "mutation M($id: ID!) { a(id: $id) }",
        "query Q { a } mutation M { b }",
        "#mutation\n\ufeff mutation{a}",
        "fragment F on T { a } mutation { ...F }",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_mutation_is_sent_by_get(client, method, query):
    answer = client.request(method, "/graphql", params={"query": query})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("query", ["{ mutation }", "query mutation { a }", "mutation {", ""])
def test_what_is_no_mutation_passes(client, query):
    assert client.get("/graphql", params={"query": query}).text == "passed"

"""Access to the real service, over its real socket: by the key, by the host, by the page that asks."""

import http.client
import zlib

import pytest

from tests.service.server import KEY
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.admission import WRONG_KEYS, WRONG_KEYS_S
from yivideo_pipeline.service.middleware import require_safe
from yivideo_pipeline.settings.sections import ServiceSettings

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def client(locked_server):
    """A client without a key."""
    with locked_server.client() as client:
        yield client


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}]
)
def test_whoever_has_the_key_is_let_in(client, headers):
    assert client.get("/api/v1/model/info", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer another-key-of-characters"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": "ключ".encode()},
        {"Cookie": f"yivideo_session={KEY}"},
        {"Host": "x/health?"},
        {"Host": "["},
    ],
)
@pytest.mark.parametrize(
    "path", ["/api/v1/model/info", "/openapi.json", "/docs", "/v1/nothing", "/health/../docs"]
)
def test_all_others_are_not_whatever_they_ask(locked_server, client, headers, path):
    # Each from an address of its own: many wrong keys from one are refused otherwise.
    address = f"2001:db8:0:{zlib.crc32(repr((headers, path)).encode()) % 65_536:x}::1"
    answer = client.get(path, headers={**headers, "X-Forwarded-For": address})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    problem = answer.json()["error"]
    assert problem["kind"] == "no_key"
    assert problem["id"] in locked_server.read_log()


def test_too_many_wrong_keys_from_one_address_are_refused_with_a_time_and_the_right_one_never(client):
    flood = {"X-API-Key": "x" * 20, "X-Forwarded-For": "192.0.2.3"}
    answers = [client.get("/api/v1/model/info", headers=flood) for _ in range(WRONG_KEYS + 1)]
    assert [answer.status_code for answer in answers] == [401] * WRONG_KEYS + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= WRONG_KEYS_S
    assert answers[-1].json()["error"]["kind"] == "wrong_keys"
    assert client.get("/api/v1/model/info", headers={**flood, "X-API-Key": KEY}).status_code == 200
    assert client.get("/", headers={**flood, "Accept": "text/html"}).status_code == 429, "nor as a browser"
    missing = {"X-Forwarded-For": "192.0.2.3"}
    assert client.get("/api/v1/model/info", headers=missing).status_code == 401, "a missing key is no guess"


@pytest.mark.parametrize("path", ["models", "models/tiny.en", "audio/transcriptions", "audio/nothing"])
def test_openai_clients_are_refused_in_openai_s_shape(client, path):
    answer = client.post(f"/v1/{path}", headers={"Authorization": "Bearer wrong"})
    problem = answer.json()["error"]
    assert answer.status_code == 401
    assert (problem["type"], problem["code"], problem["param"]) == (
        "authentication_error",
        "invalid_api_key",
        None,
    )
    assert problem["id"]


def test_health_needs_no_key(client):
    assert client.get("/health").json()["status"] == "ok"


def test_a_person_without_the_key_is_led_to_the_login(client):
    answer = client.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_the_key_is_in_no_answer_and_no_log(locked_server, client):
    given = {"X-API-Key": KEY}
    answers = [
        client.get("/api/v1/model/info", headers=given),
        client.post("/api/v1/model/reload", headers=given),
        client.get("/openapi.json", headers=given),
        client.post("/v1/speech/describe", headers=given, json={}),
        client.get("/docs", headers={"X-API-Key": f"{KEY}-wrong"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 401]
    assert not [answer.url for answer in answers if KEY in answer.text]
    assert KEY not in locked_server.read_log()


def ask_as(server, host, path="/api/v1/model/info"):
    """Ask under a name of the service; returns the status."""
    connection = http.client.HTTPConnection(*server.url.removeprefix("http://").split(":"))
    connection.putrequest("GET", path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST:1", "[::1]:8788"])
def test_names_of_this_machine_are_known(server, host):
    assert ask_as(server, host) == 200


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1.example.org", "localhost@example.org", "[", "", " "]
)
def test_a_foreign_name_is_refused_since_a_page_may_have_led_here(server, host):
    assert ask_as(server, host) == 400


@pytest.mark.parametrize("origin", ["http://example.org", "null", "http://localhost:1", "http://["])
def test_pages_of_other_sites_may_change_nothing(server, origin):
    with server.client(headers={"Origin": origin}) as client:
        assert client.post("/api/v1/model/reload").status_code == 403
        answer = client.get("/api/v1/model/info")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_nor_may_those_that_hide_their_origin(server, site):
    with server.client(headers={"Sec-Fetch-Site": site}) as client:
        assert client.post("/api/v1/model/reload").status_code == 403


def test_pages_of_our_own_may(server):
    with server.client(headers={"Origin": server.url}) as client:
        assert client.post("/api/v1/model/reload").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.0.0.2"])
def test_only_this_machine_may_ask_without_a_key(host):
    with pytest.raises(ConfigValidationError, match="--insecure"):
        require_safe(ServiceSettings(host=host), insecure=False)
    require_safe(ServiceSettings(host=host), insecure=True)
    require_safe(ServiceSettings(host=host, api_key=KEY), insecure=False)

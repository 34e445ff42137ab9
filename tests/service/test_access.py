"""Who is let in, and which files can be named, against the real service over its real socket."""

import http.client
import json

import pytest
from serving import SAMPLES, run_server

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.middleware import require_safe
from yivideo_pipeline.settings.sections import ServiceSettings

pytestmark = pytest.mark.model

KEY = "a-key-of-enough-characters"


@pytest.fixture(scope="module")
def locked(tmp_path_factory, model_dir, tiny_weights):
    """A service that wants a key, and allows the folder `media` beside its home."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "media").mkdir()
    (folder / "home").mkdir()
    (folder / "home" / "config.yml").write_text(f"service:\n  roots: [{folder / 'media'}]\n")
    with run_server(folder / "home", model_dir, YIVIDEO_SERVICE__API_KEY=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def client(locked):
    """Somebody without a key."""
    with locked.client() as client:
        yield client


def log_of(server):
    return (server.home / "logs" / "yivideo.log").read_text()


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
def test_all_others_are_not_whatever_they_ask(locked, client, headers, path):
    answer = client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    problem = answer.json()["error"]
    assert problem["kind"] == "no_key"
    assert problem["id"] in log_of(locked)


def test_health_needs_no_key(client):
    assert client.get("/health").json()["status"] == "ok"


def test_a_person_without_the_key_is_led_to_the_login(client):
    answer = client.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_the_key_is_in_no_answer_and_no_log(locked, client):
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
    assert KEY not in log_of(locked)


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


def test_pages_of_our_own_may(server):
    with server.client(headers={"Origin": server.url}) as client:
        assert client.post("/api/v1/model/reload").status_code == 200


@pytest.fixture
def ask_for(locked):
    """Ask for what is said in a file; returns the status and the error."""

    def ask(path):
        with locked.client(headers={"X-API-Key": KEY}) as client:
            call = json.dumps({"sound": {"path": str(path)}, "options": {"model_name": "tiny.en"}})
            answer = client.post(
                "/v1/speech/transcribe", content=call, headers={"Content-Type": "application/json"}
            )
        return answer.status_code, answer.json()["error"] if answer.status_code != 200 else answer.text

    return ask


@pytest.fixture(scope="module")
def media(locked):
    return locked.home.parent / "media"


def test_a_file_under_an_allowed_folder_is_taken_also_by_a_link_in_it(media, ask_for):
    (media / "deep").mkdir()
    video = media / "deep" / "video.mp4"
    video.write_bytes((SAMPLES / "harbour-15s.mp4").read_bytes())
    (media / "link.mp4").symlink_to(video)
    for path in (video, media / "link.mp4", media / "deep" / ".." / "link.mp4"):
        status, text = ask_for(path)
        assert status == 200, text
        assert '"event":"result"' in text


def test_outside_nobody_learns_whether_a_file_exists(locked, media, ask_for):
    (media / "out.mp4").symlink_to(SAMPLES / "harbour-15s.mp4")
    (media / "gone.mp4").symlink_to("/no/such/file")
    (media / "ring.mp4").symlink_to(media / "ring.mp4")
    (media / "folder").symlink_to(SAMPLES)
    beside = locked.home.parent / "media-of-others"
    beside.mkdir()
    (beside / "video.mp4").write_bytes(b"")
    asked = [
        SAMPLES / "harbour-15s.mp4",
        "/no/such/file",
        media / ".." / "home" / "logs" / "yivideo.log",
        media / ".." / "home" / "logs" / "no.log",
        media / "out.mp4",
        media / "gone.mp4",
        media / "ring.mp4",
        media / "folder" / "harbour-15s.mp4",
        media / "folder" / "no.mp4",
        beside / "video.mp4",
        "/proc/self/environ",
        locked.home / "config.yml",
    ]
    answers = [ask_for(path) for path in asked]
    assert {status for status, _ in answers} == {403}
    assert len({(error["kind"], error["message"], error["hint"]) for _, error in answers}) == 1


@pytest.mark.parametrize("path", ["video.mp4", "", "../video.mp4", "file:///etc/passwd", "/a\0b"])
def test_what_is_no_whole_path_is_refused(ask_for, path):
    status, error = ask_for(path)
    assert (status, error["kind"]) == (422, "invalid_request")


def test_a_folder_or_what_is_gone_in_an_allowed_folder_is_not_found(media, ask_for):
    assert ask_for(media)[0] == 404
    assert ask_for(media / "gone-too.mp4")[0] == 404


def test_what_can_be_no_name_of_a_file_is_not_there(media, ask_for):
    assert ask_for(media / ("x" * 5000))[0] in (403, 404)
    assert ask_for(f"{media}/\ud800.mp4")[0] in (403, 404)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.0.0.2"])
def test_only_this_machine_may_ask_without_a_key(host):
    with pytest.raises(ConfigValidationError, match="--insecure"):
        require_safe(ServiceSettings(host=host), insecure=False)
    require_safe(ServiceSettings(host=host), insecure=True)
    require_safe(ServiceSettings(host=host, api_key=KEY), insecure=False)

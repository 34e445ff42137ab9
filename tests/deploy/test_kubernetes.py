"""The objects in `deploy/kubernetes`: they keep to the schemas and fit together; no cluster is asked."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from scripts.try_image import ROOT
from yivideo_pipeline.cli.app import app
from yivideo_pipeline.remote.ray_dashboard import BUILDER
from yivideo_pipeline.settings.load import load_settings

KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSION = "1.33"
WORKLOADS = ("StatefulSet", "Deployment")
CUSTOM = ("RayService", "ScaledObject")
"""Kinds that operators define: kubernetes-validate has no schemas of them."""
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [kubernetes/gpu]
components: [kubernetes/token, kubernetes/postgres, kubernetes/autoscaling]
"""


def written() -> list[dict[str, Any]]:
    files = [file for file in KUBERNETES.rglob("*.yaml") if file.name != "kustomization.yaml"]
    read = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return [document for document in read if "kind" in document]  # else it is kustomize's own


def workloads() -> list[dict[str, Any]]:
    return [one for one in written() if one["kind"] in WORKLOADS]


@pytest.mark.parametrize("document", written(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_an_object_keeps_to_its_schema(document):
    require_valid(document)


def require_valid(document: dict[str, Any]) -> None:
    """Check an object; of a kind that an operator defines, the pods in it."""
    if document["kind"] not in CUSTOM:
        kubernetes_validate.validate(document, VERSION, strict=True)
        return
    for template in ray_templates(document):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", **template["metadata"]}}
        kubernetes_validate.validate({**pod, "spec": template["spec"]}, VERSION, strict=True)


def ray_templates(document: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = document["spec"].get("rayClusterConfig")
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]] if cluster else []
    return [group["template"] for group in groups]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which renders, is not installed")
@pytest.mark.parametrize("overlay", ["base", "own", "cluster"])
def test_what_is_rendered_keeps_to_the_schemas(overlay, tmp_path):
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes" / overlay
    if overlay == "own":  # as a user writes it
        folder = tmp_path
        (folder / "kustomization.yaml").write_text(OVERLAY)
    rendered = subprocess.check_output(["kubectl", "kustomize", folder], text=True, timeout=60)
    documents = list(yaml.safe_load_all(rendered))
    for document in documents:
        require_valid(document)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "yivideo"
    containers = [container_of(one) for one in documents if one["kind"] in WORKLOADS]
    cpu, cuda = "registry.example.org/yivideo:cpu", "registry.example.org/yivideo:cuda"
    images = {container["image"] for container in containers}
    assert images == ({cpu, cuda} if overlay == "own" else {cpu})
    names = {entry["name"] for container in containers for entry in container["env"]}
    assert ("YIVIDEO_STORAGE__DATABASE_URL_FILE" in names) == (overlay != "base")
    settings = {one["metadata"]["name"] for one in documents if one["kind"] == "ConfigMap"}
    ray = [
        template["spec"]
        for one in documents
        if one["kind"] == "RayService"
        for template in ray_templates(one)
    ]
    assert [spec["containers"][0]["image"] for spec in ray] == ([cpu, cuda] if overlay == "cluster" else [])
    assert ("yivideo-speech" in str(documents)) == (overlay != "cluster"), "replicas take its place"
    for volume in [volume for spec in ray for volume in spec["volumes"]]:
        assert volume.get("configMap", {"name": ""})["name"] in {*settings, ""}


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    [container] = workload["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("workload", workloads(), ids=lambda one: one["metadata"]["name"])
def test_a_pod_has_few_rights_and_no_variables_that_are_taken_for_settings(workload):
    pod, container = workload["spec"]["template"]["spec"], container_of(workload)
    assert pod["enableServiceLinks"] is False, "YIVIDEO_PORT, made of the service's name, would be refused"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    rights = container["securityContext"]
    assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    commands = {getattr(one.callback, "__name__", "") for one in app.registered_commands}
    assert set(container["args"]) <= commands


def test_replicas_have_as_few_rights_and_the_settings_of_the_gateway(tmp_path):
    [service] = [one for one in written() if one["kind"] == "RayService"]
    key = tmp_path / "api_key"
    key.write_text("a key of sixteen characters")
    for template in ray_templates(service):
        pod, [container] = template["spec"], template["spec"]["containers"]
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        given = {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("YIVIDEO_")}
        given |= {"YIVIDEO_CONFIG": str(KUBERNETES / "cluster" / "config.yml")}
        settings = load_settings(None, {**given, "YIVIDEO_SERVICE__API_KEY_FILE": str(key)})
    [workers] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert workers["maxReplicas"] == settings.cluster.max_replicas
    assert settings.cluster.replicas_url == f"http://{service['metadata']['name']}-serve-svc:8000"
    assert settings.cluster.dashboard_url == f"http://{service['metadata']['name']}-head-svc:8265"
    [application] = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    assert application["import_path"] == BUILDER
    assert service["spec"]["rayClusterConfig"]["rayVersion"] in (ROOT / "pyproject.toml").read_text()


def test_what_the_pods_name_exists():
    claims = {one["metadata"]["name"] for one in written() if one["kind"] == "PersistentVolumeClaim"}
    for workload in workloads():
        template = workload["spec"]["template"]
        assert workload["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        claimed = [one.get("persistentVolumeClaim") for one in volumes.values()]
        assert {one["claimName"] for one in claimed if one} <= claims
        assert {mount["name"] for mount in container_of(workload)["volumeMounts"]} == set(volumes)
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in workloads()]
    for service in [one for one in written() if one["kind"] == "Service"]:
        assert service["spec"]["selector"] in labels


def test_the_settings_of_the_pods_are_valid_and_name_the_speech_service(tmp_path):
    key = tmp_path / "api_key"
    key.write_text("a key of sixteen characters")
    for workload in workloads():
        given = {one["name"]: one["value"] for one in container_of(workload)["env"]}
        given |= {"YIVIDEO_CONFIG": str(KUBERNETES / "base" / "config.yml")}
        settings = load_settings(None, {**given, "YIVIDEO_SERVICE__API_KEY_FILE": str(key)})
        assert settings.speech.service_url == "http://yivideo-speech:8788"
        assert settings.library.roots == {"videos": Path("/videos")}

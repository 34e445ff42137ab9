"""The dashboard and the rules in `deploy/` ask for what a running service really tells."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from yivideo_pipeline.service.metrics import Counters
from yivideo_pipeline.settings.sections import AlertSettings, ServiceSettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PROMETHEUS_OWN = {"up"}
WORDS = {
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
}
FUNCTIONS = {"sum", "avg", "min", "max", "count", "rate", "increase", "irate", "histogram_quantile"}
SUFFIXES = ("_bucket", "_count", "_sum")


def queries() -> dict[str, str]:
    dashboard = json.loads((DEPLOY / "grafana" / "yivideo.json").read_text())
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    return found | {rule["alert"]: rule["expr"] for rule in rules()}


def rules() -> list[dict]:
    read = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def names_in(query: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels that a query names.

    Raises:
        ValueError: it is no query: a bracket is left over, or a function is none.
    """
    text = re.sub(r'"[^"]*"', '""', query)
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", text))
    text = re.sub(r"\{[^{}]*\}", "", text)
    text = re.sub(r"\[[^\[\]]*\]", "", text)
    for listed in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^()]*)\)", text):
        labels |= set(re.findall(r"\w+", listed))
    text = re.sub(r"\b(by|without|on|ignoring)\s*\([^()]*\)", "", text)
    called = set(re.findall(r"([A-Za-z_]\w*)\s*\(", text)) - WORDS
    if unknown := called - FUNCTIONS:
        raise ValueError(f"no functions: {unknown}")
    named = set(re.findall(r"\b[A-Za-z_:][\w:]*\b", text)) - called - WORDS
    while "(" in text or ")" in text:
        shorter = re.sub(r"\([^()]*\)", "1", text)
        if shorter == text:
            raise ValueError("a bracket is left over")
        text = shorter
    if set("{}[]") & set(text):
        raise ValueError("a bracket is left over")
    return named, labels


@pytest.fixture(scope="module")
def told(server) -> dict[str, set[str]]:
    """The metrics of a running service with their labels, where they have any by now."""
    with server.client() as client:
        client.get("/nobody/knows")
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for one in [name + suffix for suffix in SUFFIXES] if family.type == "histogram" else [name]:
            found[one] = {label for sample in family.samples for label in sample.labels}
    return found


@pytest.mark.parametrize("name", queries())
def test_every_query_asks_for_metrics_and_labels_that_are_told(name, told):
    named, labels = names_in(queries()[name])
    assert named, "it asks for something"
    assert named - PROMETHEUS_OWN - set(told) == set()
    known = set().union(*(told.get(metric, set()) | labels_of(metric) for metric in named))
    assert labels - known - ({"job"} if "up" in named else set()) == set()


def labels_of(metric: str) -> set[str]:
    """Labels of what nothing was counted of yet."""
    for counter in vars(Counters()).values():
        if metric.startswith(getattr(counter, "_name", "-")):
            return {*counter._labelnames, "le"}
    by_metric = {
        "yivideo_runs": {"state"},
        "yivideo_daemon_healthy": {"daemon"},
        "yivideo_at_work": {"host", "stage"},
        "yivideo_replica_requests": {"replica"},
        "yivideo_replica_done_total": {"replica"},
    }
    return by_metric.get(metric, set())


@pytest.mark.parametrize("query", ["sum(a", "nonsense(a)", "a[5m", "sum by (b (a)"])
def test_a_broken_query_is_noticed(query):
    with pytest.raises(ValueError):
        names_in(query)


def test_a_query_is_taken_apart():
    query = 'histogram_quantile(0.9, sum by (le, b) (rate(a_bucket{c="x y"}[5m]))) > on (d) e'
    assert names_in(query) == ({"a_bucket", "e"}, {"le", "b", "c", "d"})


def test_labels_in_texts_are_those_of_the_query():
    for rule in rules():
        used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        _, labels = names_in(rule["expr"])
        metric_labels = {"alert", "daemon"}
        assert used <= labels | metric_labels, rule["alert"]
        assert rule["annotations"]["description"]


def test_the_rules_have_the_settings_thresholds():
    limits, found = AlertSettings(), {rule["alert"]: rule["expr"] for rule in rules()}
    for name, limit in (
        ("YivideoStagesSlow", limits.p99_s),
        ("YivideoStagesFail", limits.error_pct / 100),
        ("YivideoMemory", limits.memory_pct / 100),
        ("YivideoGpuMemory", limits.gpu_pct / 100),
    ):
        assert float(found[name].split(">")[-1]) == limit


def test_prometheus_asks_where_the_service_answers():
    read = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [job] = read["scrape_configs"]
    service = ServiceSettings()
    assert job["static_configs"][0]["targets"] == [f"{service.host}:{service.port}"]
    assert read["rule_files"] == ["alerts.yml"]


def test_no_two_panels_lie_on_each_other():
    dashboard = json.loads((DEPLOY / "grafana" / "yivideo.json").read_text())
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])

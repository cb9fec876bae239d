"""The documents and files of deployment name what there is."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from unmask.server.configuring import MODELS, read_file
from unmask.server.metrics import Metrics
from unmask.server.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def exported():
    """The names of metrics, as Prometheus reads them."""
    metrics = Metrics()
    metrics.meter("m")
    return set(re.findall(r"^# TYPE (\S+)", metrics.text.decode(), re.MULTILINE))


def named(text):
    """The metrics that a text names; those of a histogram by their own."""
    found = set(re.findall(r"\bunmask_\w+", text))
    return {re.sub("_(bucket|sum|count)$", "", name) for name in found}


def test_the_document_describes_each_metric():
    known = {name for name in exported() if not name.endswith("_created")}
    assert named(DOCUMENT) == known


def test_the_dashboard_shows_metrics_that_exist():
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    shown = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    assert named(" ".join(shown)) == {n for n in exported() if not n.endswith("_created")}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_example_of_a_file_has_all_defaults():
    entries = read_file(ROOT / "deploy" / "server.toml")
    assert entries.pop(MODELS) == ["shakespeare"]
    assert Settings(**entries) == Settings()
    known = {each.name for each in fields(Settings)}
    unsaid = {each.name for each in fields(Settings) if each.default is None}
    assert unsaid == {"api_key", "max_tokens", "dtype", "device_map"}
    assert entries.keys() == known - unsaid
    text = (ROOT / "deploy" / "server.toml").read_text(encoding="utf-8")
    assert set(re.findall(r"^# (\w+) = ", text, re.MULTILINE)) == unsaid


@pytest.mark.parametrize("name", [each.name for each in fields(Settings)])
def test_the_document_describes_each_setting(name):
    assert f"`{name}`" in DOCUMENT.partition("## Security")[0]


def test_the_service_waits_longer_than_requests_may_take():
    service = (ROOT / "deploy" / "unmask.service").read_text(encoding="utf-8")
    assert int(re.search(r"TimeoutStopSec=(\d+)", service)[1]) > Settings().grace


def labels():
    """The labels of each metric, as its samples have them."""
    metrics = Metrics()
    metrics.request("/v1/completions", "ok", 1.0)
    metrics.usage("m", 1, 1)
    meter = metrics.meter("m")
    meter.step(1.0, 1, 1, 1, 1)
    meter.first(1.0)
    for gauge in (metrics.waiting, metrics.rows, metrics.tokens):
        gauge.labels("m").set(1)
    found = {}
    for name, inside in re.findall(r"^(unmask_\w+?)(?:\{(.*?)\})? ", metrics.text.decode(), re.M):
        found[name] = set(re.findall(r'(\w+)="', inside))
    return found


def test_the_dashboard_asks_for_labels_that_exist():
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    known, seen = labels(), 0
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            names = set(re.findall(r"\bunmask_\w+", query))
            grouped = re.findall(r"by \(([^)]*)\)", query)
            wanted = {each.strip() for group in grouped for each in group.split(",")}
            wanted |= set(re.findall(r"(\w+)=~?\"", query))
            shown = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            for name in names:
                assert wanted | shown <= known[name], (query, target.get("legendFormat"))
            seen += len(wanted)
    assert seen > 20


def test_the_option_that_the_example_leaves_out_is_taken(tmp_path):
    text = (ROOT / "deploy" / "server.toml").read_text(encoding="utf-8")
    [(line, number)] = re.findall(r"^# (max_tokens = (\d+))", text, re.MULTILINE)
    (tmp_path / "server.toml").write_text(text.replace(f"# {line}", line))
    entries = read_file(tmp_path / "server.toml")
    del entries[MODELS]
    assert Settings(**entries) == Settings(max_tokens=int(number))


def test_the_container_is_built_from_what_there_is():
    file = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    sources = re.findall(r"^COPY (?!--from)(.*) \S+$", file, re.MULTILINE)
    copied = [name for line in sources for name in line.split()]
    assert all((ROOT / name).exists() for name in copied)
    kept = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    assert [line[1:] for line in kept.splitlines() if line[0] == "!"] == copied
    [extras] = re.findall(r'pip install .*"\.\[(.*)\]"', file)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{each} = \[", project, re.MULTILINE) for each in extras.split(","))
    assert re.search(r"127\.0\.0\.1:(\d+)/ready", file)[1] == str(Settings().port)
    assert f"EXPOSE {Settings().port}\n" in file

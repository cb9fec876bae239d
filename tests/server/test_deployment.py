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
    unsaid = {each.name for each in fields(Settings) if each.default is None}
    assert unsaid == {"api_key", "max_tokens", "dtype", "device_map"}
    assert entries.keys() == {each.name for each in fields(Settings)} - unsaid
    shown = (ROOT / "deploy" / "server.toml").read_text(encoding="utf-8")
    assert {name for name in unsaid if f"\n# {name} = " in shown} == unsaid - {"api_key"}


@pytest.mark.parametrize("name", [each.name for each in fields(Settings)])
def test_the_document_describes_each_setting(name):
    assert f"`{name}`" in DOCUMENT.partition("## Security")[0]


def test_the_service_waits_longer_than_requests_may_take():
    service = (ROOT / "deploy" / "unmask.service").read_text(encoding="utf-8")
    assert int(re.search(r"TimeoutStopSec=(\d+)", service)[1]) > Settings().grace

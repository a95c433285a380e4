"""The alerting rules name metrics that exist, say what to do, and fire when they should (where promtool is there)."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from activities.certificates.measures import Measures
from clients.tls.counting import Counts
from schemas.certificates import SweepFindings
from schemas.settings.certificates import RenewalPolicy
from tests.unit.activities.test_certificate_measures import FACTS

ALERTS = Path(__file__).parents[3] / "deploy" / "alerts"
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
METRIC = re.compile(r"\bredoubt_[a-z_]+")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ALERTS / "certificates.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def measured() -> set[str]:
    """The name of every metric of certificates and of TLS, from what measures them."""
    buffer, registry = MetricBuffer(100), CollectorRegistry()
    measures = Measures(Runtime(telemetry=TelemetryConfig(metrics=buffer)).metric_meter)
    measures.held("www", {"web": FACTS}, RenewalPolicy())
    measures.issued("www", "acme")
    measures.swept(SweepFindings(looked_at=0, due=(), unreadable=()))
    measures.closed("www", "renewed")
    counts = Counts("test", registry)
    counts.begun()
    counts.served("www", 0.0)
    of_tls = {sample.name for metric in registry.collect() for sample in metric.samples}
    return {update.metric.name for update in buffer.retrieve_updates()} | {
        name for name in of_tls if not name.endswith("_created")
    }


def test_rules_name_metrics_that_exist() -> None:
    named = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    assert named
    assert named <= measured()


def test_every_metric_stands_in_the_document() -> None:
    assert measured() <= set(METRIC.findall(DOCUMENT.read_text()))


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        assert rule["alert"].startswith("Redoubt")
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "what_to_do"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_promtool_finds_the_rules_right_and_they_fire_when_they_should() -> None:
    for words in (["check", "rules", "certificates.yaml"], ["test", "rules", "certificates_test.yaml"]):
        ended = subprocess.run(
            ["promtool", *words], cwd=ALERTS, capture_output=True, timeout=120, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

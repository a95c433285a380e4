"""An open breaker is seen: in the metrics that a worker serves, and by `doctor`, which reads them."""

import time
import urllib.request

import pytest

from cli.checks import Concern
from cli.checks_breakers import breaker_checks
from cli.dev.process import free_port
from clients.breakers.breaker import Breaker
from schemas.errors import CaUnavailable, DependencyOpen
from schemas.settings import Settings
from tests.servers.hostile import answering, serving
from workers.breaker_metrics import BreakerMetrics
from workers.runtime import start_runtime
from workers.wiring import Wiring


def down() -> None:
    raise CaUnavailable("down")


def open_it(breaker: Breaker) -> None:
    for _ in range(5):
        with pytest.raises(CaUnavailable):
            breaker.call(down)
    with pytest.raises(DependencyOpen):
        breaker.call(down)


def shown_at(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def test_doctor_finds_in_the_metrics_what_is_left_alone() -> None:
    port = free_port()
    wiring = Wiring(Settings.model_validate({"pools": {"certificates": {"metrics_port": port}, "audit": {}}}))
    (check,) = breaker_checks(wiring)
    assert check.name == "dependencies, certificates"
    assert "no worker" in check.look()

    runtime = start_runtime(port)
    metrics = BreakerMetrics(runtime.metric_meter, wiring.breakers())
    wiring.breakers().of("token/hsm@/m.so")
    metrics.measure()
    _until(lambda: "token/hsm@/m.so" in shown_at(port))
    assert check.look() == "1 in use, none is left alone"

    open_it(wiring.breakers().of("ca/acme-1.example/directory"))
    for _ in range(2):
        metrics.measure()
    _until(lambda: "ca/acme-1.example/directory" in shown_at(port))
    with pytest.raises(Concern, match=r"ca/acme-1\.example/directory is open") as found:
        check.look()
    assert "token/hsm@/m.so" not in str(found.value)
    (refused,) = [
        line
        for line in shown_at(port).splitlines()
        if line.startswith("redoubt_breaker_refusals_total") and "ca/acme-1.example/directory" in line
    ]
    assert refused.endswith(" 1")


def test_what_is_no_workers_metrics_is_said_to_be_none() -> None:
    with serving() as other:
        other.behaviours["/metrics"] = answering(b"{", Content_Type="text/html")
        wiring = Wiring(Settings.model_validate({"pools": {"certificates": {"metrics_port": other.port}}}))
        (check,) = breaker_checks(wiring)
        with pytest.raises(Concern, match="no worker's metrics"):
            check.look()


def _until(holds: object) -> None:
    assert callable(holds)
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.05)

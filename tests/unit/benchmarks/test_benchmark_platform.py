"""The benchmark `platform`: its keys and bars, its arithmetic, and that it kills at every point of the order path."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec
from temporalio.testing import ActivityEnvironment

import activities.certificates.issuing
import clients.challenges.http01
import clients.issuers.acme
import clients.keystores.pkcs11
import store.sql.journal
from benchmarks.platform import BENCHMARK, correlation, kills, throughput
from benchmarks.platform.variants import Batch, TimedCodec
from benchmarks.samples import Samples

BARS = {
    "codec_share": "at most 0.02",
    "correlation_overhead": "at most 0.05",
    "correlated_requests_per_s": "at least 5000",
    "actions_ratio_bare": "at least 0.9",
    "certificates_after_kills": "exactly 1",
    "finalizes_after_kills": "exactly 1",
    "failed_handshakes": "exactly 0",
    "help_ratio_bare": "at most 1.5",
}
WITHOUT_BAR = {"worker_start_s", "worker_rss_mib", "handshakes", "orphan_orders", "kills"}


def points(module: object) -> set[str]:
    text = Path(str(module.__file__)).read_text("utf-8")  # type: ignore[attr-defined]  # a module
    return set(re.findall(r'reached\("([a-z_.-]+)"[,)]', text))


def test_the_keys_and_bars_are_those_that_were_promised() -> None:
    figures = [figure for part in BENCHMARK.parts for figure in part.figures]
    assert {one.key: str(one.bar) for one in figures if one.bar} == BARS
    assert {one.key for one in figures if one.bar is None} == WITHOUT_BAR
    assert len(figures) == len(BARS) + len(WITHOUT_BAR)


def test_the_worker_is_killed_at_every_point_between_the_key_and_the_certificate() -> None:
    """A point that is added to the code must be added to the benchmark, and one that is gone can't be waited for."""
    of_the_ca = points(clients.issuers.acme) | points(clients.challenges.http01)
    of_the_steps = {
        point for point in points(activities.certificates.issuing) if point.startswith(("key.", "order."))
    }
    of_the_key = {point for point in points(clients.keystores.pkcs11) if not point.startswith("key.destroy")}
    of_the_journal = {"journal.begun", "journal.finished"} & points(store.sql.journal)
    path = [point.partition(":")[0] for point in kills.ORDER_PATH]
    assert set(path) == of_the_ca | of_the_steps | of_the_key | of_the_journal
    assert len(path) == len(set(path))


def test_the_measured_workflow_brings_nothing_of_ours_into_the_sandbox() -> None:
    """Else each run of the bare SDK would import it anew, and look slower than it is."""
    program = "import sys, benchmarks.workload_bare; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    rooms = {name.partition(".")[0] for name in loaded.stdout.split()}
    assert not rooms & {"cli", "clients", "pydantic", "rules", "schemas", "store", "workers", "workflows"}
    assert {name for name in loaded.stdout.split() if name.startswith("benchmarks")} == {
        "benchmarks",
        "benchmarks.workload_bare",
    }


def batch(per_s: float, *, cpu_s: float = 0.24, codec_s: float = 0.0, errors: int = 0) -> Batch:
    done = Samples([0.1] * throughput.BATCH, elapsed=throughput.BATCH / per_s, errors=errors)
    return Batch(done, cpu_s=cpu_s, server_cpu_s=0.76, codec_s=codec_s, payloads=240)


def test_the_ratios_compare_what_ran_in_the_same_round() -> None:
    """Here the machine becomes four times slower, for all: that is no difference between them."""
    rounds = {
        "bare": [batch(100), batch(50), batch(25)],
        "uncorrelated": [batch(98), batch(49), batch(24.5)],
        "ours": [batch(per_s, cpu_s=0.28, codec_s=0.0048) for per_s in (95, 47.5, 23.75)],
    }
    found = throughput.judged(rounds)
    assert found.values["actions_ratio_bare"] == 0.95
    assert found.values["correlation_overhead"] == 0.04
    assert found.aside["correlation_overhead_p75"] == 0.04
    assert found.aside["correlation_overhead_elapsed"] == 0.032
    elapsed = throughput.BATCH * (1 / 95 + 1 / 47.5 + 1 / 23.75)
    assert found.values["codec_share"] == round(0.0144 / elapsed, 4)
    assert found.aside["bare_cpu_ms"] == 10.0
    assert found.aside["codec_us_per_payload"] == 20.0
    assert found.aside["payloads_per_workflow"] == 10.0


def test_errors_of_every_variant_are_told() -> None:
    rounds = {
        "bare": [batch(9, errors=2)],
        "uncorrelated": [batch(9, errors=1)],
        "ours": [batch(9, errors=4)],
    }
    assert throughput.judged(rounds).samples.errors == 7


class _Reversed(PayloadCodec):
    async def encode(self, payloads: list[Payload]) -> list[Payload]:  # type: ignore[override]  # a list is enough here
        return [Payload(data=payload.data[::-1]) for payload in payloads]

    async def decode(self, payloads: list[Payload]) -> list[Payload]:  # type: ignore[override]  # as above
        return await self.encode(payloads)


async def test_the_timed_codec_changes_nothing_and_counts_every_payload() -> None:
    codec, plain = TimedCodec(_Reversed()), [Payload(data=b"one"), Payload(data=b"two")]
    sealed = await codec.encode(plain)
    assert [payload.data for payload in sealed] == [b"eno", b"owt"]
    assert await codec.decode(sealed) == plain
    assert codec.payloads == 4
    assert codec.seconds > 0


def test_a_request_that_loses_its_correlation_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ten() -> Samples:
        return await correlation._requests(10)

    good = asyncio.run(ActivityEnvironment().run(ten))
    assert (len(good.seconds), good.errors) == (10, 0)
    monkeypatch.setattr(correlation, "headers_of", lambda _carried: {})
    lost = asyncio.run(ActivityEnvironment().run(ten))
    assert (len(lost.seconds), lost.errors) == (0, 10)

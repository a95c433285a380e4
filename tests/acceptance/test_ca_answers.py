"""What a CA answers, through whole runs: limits with a time, refusals, and certificates that nobody can use."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.acceptance.cases import Cases, assert_told, ended
from tests.acceptance.fleet import NAME, Fleet
from tests.acceptance.misissuing import FINALIZE, NEW_ORDER, Misissuing, Refusal, Swap
from tests.integration.targets.material import Days, TestCa

RETRY_AFTER_S, TOO_LONG_S = 5, 3000
"""Longer than the pause before a second attempt; longer than any patience here."""

InFront = Callable[[Any, Swap, Refusal | None], Misissuing]
ENDED, TO_COME = (-2, -1), (1, 2)
UNUSABLE = {
    "ended-chain": "its chain does not lead to a root that the issuer is trusted by",
    "other-name": "it is for www.example.test and not for www.example.com",
    "tomorrow": "it is not valid before",
}
"""Cases to what is said of the certificate."""


@pytest.fixture
def in_front() -> Iterator[InFront]:
    made: list[Misissuing] = []

    def make(ca: Any, swap: Swap, refusal: Refusal | None) -> Misissuing:
        made.append(Misissuing(ca, swap, refusal))
        return made[-1]

    yield make
    for one in made:
        one.stop()


async def test_what_a_ca_answers_is_obeyed_passed_over_or_rejected(
    fleet: Fleet, tmp_path: Path, in_front: InFront
) -> None:
    cases, ca = Cases(fleet), TestCa()
    cases.build({case: {} for case in ("limited", "limited-long", "refused", *UNUSABLE)}, targets="a")
    roots = tmp_path / "roots.pem"
    roots.write_bytes(fleet.ca.trust_file.read_bytes() + ca.root)
    refusals = {
        "limited": Refusal(NEW_ORDER, 429, "rateLimited", {"Retry-After": str(RETRY_AFTER_S)}),
        "limited-long": Refusal(NEW_ORDER, 429, "rateLimited", {"Retry-After": str(TOO_LONG_S)}),
        "refused": Refusal(FINALIZE, 403, "badCSR"),
    }
    below = TestCa(name=x509.Name([]))
    swaps: dict[str, Swap] = {
        "ended-chain": _reissued(below, NAME, above=ca.certify(below, ENDED)),
        "other-name": _reissued(ca, "www.example.test"),
        "tomorrow": _reissued(ca, NAME, TO_COME),
    }
    for case in cases.names:
        front = in_front(fleet.ca, swaps.get(case, bytes), refusals.get(case))
        fleet.document["issuers"][case] = {
            **fleet.document["issuers"]["acme"],
            "directory": front.directory,
            "trust_file": str(roots),
        }
        issuers = [case] if case in UNUSABLE else [case, "acme"]
        cases.certificate(case).update({"issuers": issuers, "issuer_patience_s": 60.0})
    fleet.write()
    fleet.worker()
    before = {case: cases.shown(case) for case in cases.names}
    runs = {case: await cases.start(case) for case in cases.names}
    ends = dict(zip(runs, await asyncio.gather(*map(ended, runs.values())), strict=True))

    results = {case: ends[case].result for case in refusals}
    assert all(results.values()), ends
    assert {case: one.issuer for case, one in results.items() if one} == {
        "limited": "limited",
        "limited-long": "acme",
        "refused": "acme",
    }
    first, second = refusals["limited"].asked_at
    assert second - first >= RETRY_AFTER_S
    assert len(refusals["limited-long"].asked_at) == 1
    for case, said in (("limited-long", "rateLimited"), ("refused", "badCSR")):
        told = results[case]
        assert told is not None
        assert [f"this CA says {said}" in words for words in told.passed_over] == [True]
    for case in refusals:
        assert cases.shown(case) != before[case], case
    for case, said in UNUSABLE.items():
        assert_told(ends[case], "CertificateRejected", f"What {case} issued for {case} is wrong:", said)
        assert cases.shown(case) == before[case], case


def _reissued(ca: TestCa, name: str, days: Days = (-1 / 24, 1), above: bytes = b"") -> Swap:
    """For the key for which Pebble has issued."""

    def swap(chain: bytes) -> bytes:
        return ca.issue(x509.load_pem_x509_certificate(chain).public_key(), name, days) + above

    return swap

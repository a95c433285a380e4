"""Revocation at real CAs: one behind our back is noticed and replaced; one of ours survives kills, and happens once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from clients.settings import load
from clients.x509 import X509Reader
from rules.certificates import due
from schemas.revocations import RevocationReason
from schemas.settings.certificates import RenewalPolicy
from tests.acceptance.fleet import Fleet
from tests.acceptance.killing import verified
from tests.servers.oracle import said_by_pebble
from workers.wiring import Wiring

SWEEP = "certificate-sweep/all"
KEY_COMPROMISE = 1
"""RFC 5280, section 5.3.1."""


def test_what_the_ca_has_revoked_is_renewed_at_once(fleets: Callable[..., Fleet]) -> None:
    fleet = fleets().build(targets=("web-1",), issuers=["local"])
    # Nothing listens there: only the CA itself can answer for its list.
    fleet.document["issuers"]["local"]["crl_url"] = "http://127.0.0.1:9/crl.der"
    fleet.write()
    fleet.worker()
    assert fleet.renew()["state"] == "COMPLETED"
    ca = Wiring(load(fleet.folder / "redoubt.yaml")).issuer("local")
    root = fleet.folder / "root.pem"
    root.write_bytes(ca.trust_anchors())
    first = fleet.shown(root)
    assert set(first) == {"web-1"}
    chain = _chain(fleet)
    by_dates = due("www", [X509Reader().read(chain)], RenewalPolicy(), datetime.now(UTC))
    assert not by_dates.due, "nothing but its revocation makes it due"
    ca.revoke(chain, RevocationReason.KEY_COMPROMISE)
    assert _swept(fleet)["renewed"] == ["www"]
    second = fleet.shown(root)
    assert set(second) == {"web-1"}
    assert second != first


def test_a_worker_killed_once_the_ca_has_revoked_has_it_revoked_once_and_replaced_once(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets().build(targets=("web-1", "web-2"))
    fleet.worker(pools=("audit",), name="audit")
    first = fleet.worker(name="first")
    assert fleet.renew()["state"] == "COMPLETED"
    first.stop()
    old, chain = fleet.shown(), {name: _chain(fleet, name) for name in fleet.sites}
    given = {"certificate": "www", "reason": "keyCompromise"}

    def revoke() -> None:
        words = ("start", "CertificateRevocation", "--input", "-")
        assert fleet.redoubt(*words, given=json.dumps(given)).code == 0

    fleet.kill_at("revocation.answered", revoke)
    new = fleet.shown()
    assert set(new) == set(old)
    assert not set(new.values()) & set(old.values()), "what is revoked is served no more"
    assert sorted(_said(fleet, one)["Status"] for one in chain.values()) == ["Revoked", "Valid"]
    fleet.kill_at("certificate.revoked", lambda: None)
    fleet.worker(name="last")
    ended = fleet.watch("certificate-revocation/www")
    assert ended["state"] == "COMPLETED", ended
    assert sorted(ended["result"]["revoked"]) == sorted(set(old.values()))
    assert fleet.shown() == ended["result"]["replaced_by"] == new
    told = [_said(fleet, one) for one in chain.values()]
    assert {(one["Status"], one["Reason"]) for one in told} == {("Revoked", KEY_COMPROMISE)}
    assert {_said(fleet, _chain(fleet, name))["Status"] for name in fleet.sites} == {"Valid"}
    assert fleet.counts().certificates == 2 * len(fleet.sites)
    assert verified(fleet)["open_steps"] == []
    entries = fleet.redoubt("audit", "log", "-o", "json").json
    recorded = [entry["kind"] for entry in entries if entry["what"] == "certificate.revoked"]
    assert sorted(recorded) == ["intent", "intent", "outcome", "outcome"]


def _said(fleet: Fleet, chain: bytes) -> dict[str, Any]:
    return said_by_pebble(fleet.ca.management.removeprefix("https://"), fleet.ca.ca_file, chain)


def _chain(fleet: Fleet, target: str = "web-1") -> bytes:
    return (fleet.sites[target].target / "current" / "fullchain.pem").read_bytes()


def _swept(fleet: Fleet) -> dict[str, Any]:
    """What a sweep did, once it has ended."""
    started = fleet.redoubt("start", "CertificateSweep", "--input", "-", given=json.dumps({}))
    assert started.code == 0, started.err
    ended = fleet.watch(SWEEP)
    assert ended["state"] == "COMPLETED", ended
    result: dict[str, Any] = ended["result"]
    return result

"""A certificate that its CA revokes behind our back is noticed by the next sweep, and replaced at once."""

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
from workers.wiring import Wiring

SWEEP = "certificate-sweep/all"


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


def _chain(fleet: Fleet) -> bytes:
    return (fleet.sites["web-1"].target / "current" / "fullchain.pem").read_bytes()


def _swept(fleet: Fleet) -> dict[str, Any]:
    """What a sweep did, once it has ended."""
    started = fleet.redoubt("start", "CertificateSweep", "--input", "-", given=json.dumps({}))
    assert started.code == 0, started.err
    ended = fleet.watch(SWEEP)
    assert ended["state"] == "COMPLETED", ended
    result: dict[str, Any] = ended["result"]
    return result

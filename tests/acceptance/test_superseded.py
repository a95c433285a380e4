"""What was replaced is revoked at a real CA once its grace is over, and by the next renewal if that was ended early."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.revocations import RevocationReason
from tests.acceptance.fleet import Fleet, wait_until
from tests.acceptance.test_approvals import rows
from tests.acceptance.test_revocation import chain_on, phase, status_at_pebble

GRACE_S, AN_HOUR = 1.0, 3600.0
SUPERSEDED = ("Revoked", RevocationReason.SUPERSEDED.code)
VALID = ("Valid", None)


@pytest.mark.timeout(300)
def test_after_the_grace_what_was_replaced_is_revoked_as_superseded(fleets: Callable[..., Fleet]) -> None:
    fleet = fleets().build(targets=("web-1",), grace_s=GRACE_S)
    first = brought(fleet)
    second = brought(fleet)
    assert (status(fleet, first), status(fleet, second)) == (SUPERSEDED, VALID)
    began, verified = at(fleet, "intent", "certificate.revoked"), at(fleet, "outcome", "certificate.verified")
    assert began >= verified + timedelta(seconds=GRACE_S)

    fleet.www["grace_s"] = AN_HOUR
    third = brought(fleet, end_grace=True)
    assert (status(fleet, second), status(fleet, third)) == (VALID, VALID)

    fleet.www["grace_s"] = GRACE_S
    fourth = brought(fleet)
    assert [status(fleet, one) for one in (second, third, fourth)] == [SUPERSEDED, SUPERSEDED, VALID]


def brought(fleet: Fleet, *, end_grace: bool = False) -> bytes:
    """What a renewal by a worker with the settings of now has had issued, once it has ended."""
    fleet.www["after_grace"] = {"revoke": True, "destroy_keys": False}
    fleet.write()
    worker = fleet.worker(pools=("certificates", "audit"), name=f"worker-{len(fleet.workers)}")
    fleet.start()
    if end_grace:
        wait_until(lambda: phase(fleet) == "grace", 60, "the grace")
        told = fleet.redoubt("end-grace", "certificate-renewal/www", "--reason", "a test")
        assert told.code == 0, told.err
    ended = fleet.watch()
    assert ended["state"] == "COMPLETED", ended
    worker.kill()
    return chain_on(fleet)


def status(fleet: Fleet, chain: bytes) -> tuple[str, int | None]:
    return status_at_pebble(fleet.ca, chain)


def at(fleet: Fleet, kind: str, what: str) -> datetime:
    """When this was recorded last."""
    told: list[dict[str, Any]] = [
        json.loads(entry) for (entry,) in rows(fleet, "SELECT entry FROM evidence ORDER BY id")
    ]
    return datetime.fromisoformat(
        [one["at"] for one in told if (one["kind"], one["what"]) == (kind, what)][-1]
    )

"""What replaces a certificate before it is revoked is started by a request of its own each time."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from activities.certificates.revoking import RevokingActivities
from activities.looking import Looks
from clients.identities.requesting import signed_request
from rules.requests import input_digest
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import CertificateRenewalInput
from schemas.errors import NotApproved, NotAuthorized, RedoubtError
from schemas.policies import Grant, Role
from schemas.principals import Principal, Shown, SignedRequest
from schemas.revocations import CertificateRevocationInput, RevocationReason, RevocationStep, Served
from tests.integration.workflows.stand_ins import NEW, TARGETS
from tests.unit.policies.people import ANNA, API, policy
from tests.unit.policies.test_gate import SERVICE_MAY, House, facing_of, header, house

__all__ = ["house"]

KIND, ID = "CertificateRevocation", "certificate-revocation/www"
GIVEN = CertificateRevocationInput(certificate="www", reason=RevocationReason.KEY_COMPROMISE)
ANNA_MAY = Grant(role=Role.OPERATOR, principals=("anna",), capability="certificates", scope="www")
OLD = NEW.model_copy(update={"not_after": datetime(2126, 1, 1, tzinfo=UTC)})


def replacing(held: House, denied: RedoubtError | None = None) -> RevokingActivities:
    """Every target holds what is to be revoked, whatever was renewed meanwhile; the gate is the real one."""

    def by_service(kind: str, given: CertificateRenewalInput, on_behalf_of: str) -> SignedRequest:
        assert kind == "CertificateRenewal"
        service = Principal(name="service:api", shown=Shown.SERVICE, hardware=True)
        return signed_request(API, service, facing_of(given), on_behalf_of=on_behalf_of)

    def granted(_: str) -> None:
        if denied is not None:
            raise denied

    target = SimpleNamespace(current=lambda: OLD.fingerprint, read=lambda _: b"chain")
    around: Any = SimpleNamespace(
        journal=held.journal,
        gate=held.gate,
        approvals=SimpleNamespace(granted=granted, needed=lambda *_: False),
        signed=by_service,
        inventory={"www": SimpleNamespace(targets=tuple(SimpleNamespace(name=name) for name in TARGETS))},
        target=lambda _: target,
        reader=SimpleNamespace(read=lambda _: OLD),
        looks=Looks(),
        service="service:certificates",
    )
    return RevokingActivities(around)


def opened(held: House, presented: SignedRequest | None) -> RevocationStep:
    """A revocation of what every target holds, by who has signed this; without, of nobody's."""
    state = {
        **GIVEN.model_dump(mode="json", include={"certificate", "reason"}),
        "certificates": [
            {**OLD.model_dump(mode="json", include={"fingerprint", "serial", "issuer", "not_after"})}
        ],
        "replace": True,
    }
    operation = held.journal.open(
        kind=KIND,
        subject="www",
        workflow_id=ID,
        run=f"{ID}/1",
        who="service:certificates",
        correlation_id="",
        state=state,
    ).operation
    if presented is not None:
        admitted = held.does(lambda: held.gate.admit(KIND, GIVEN), header(presented), workflow_id=ID)
        held.gate.record(operation, admitted)
    return RevocationStep(operation=operation, certificate="www")


def by_anna() -> SignedRequest:
    workflow_id = WORKFLOW_TYPES[KIND].workflow_id(GIVEN)
    facing = facing_of(CertificateRenewalInput(certificate="www"))._replace(
        workflow_type=KIND, workflow_id=workflow_id, input_sha256=input_digest(GIVEN)
    )
    anna = Principal(name="anna", shown=Shown.SIGNING_KEY)
    return signed_request(ANNA, anna, facing)


def looks(held: House, acts: RevokingActivities, step: RevocationStep) -> Served:
    served: Served = held.does(lambda: acts.still_served(step), workflow_id=ID)
    return served


def test_each_attempt_at_a_replacement_is_started_by_a_request_that_is_still_good(
    house: Callable[..., House],
) -> None:
    held = house(policy(ANNA_MAY, SERVICE_MAY))
    acts, step = replacing(held), opened(held, by_anna())
    renewal = held.does(lambda: acts.plan_revocation(GIVEN), header(by_anna()), workflow_id=ID).renewal
    for attempt in ("1", "2", "3"):
        served = looks(held, acts, step)
        assert served.request is not None
        authority = held.admit(header(served.request), renewal, run=attempt)
        assert (authority.requester.name, authority.on_behalf_of.name) == ("service:api", "anna")


@pytest.mark.parametrize(
    ("presented", "denied"), [(False, None), (True, NotApproved("Nobody has approved it."))]
)
def test_nothing_is_signed_for_a_revocation_that_may_not_begin(
    house: Callable[..., House], presented: bool, denied: RedoubtError | None
) -> None:
    """Whoever can write to Temporal can look too, and gets to see what is signed."""
    held = house(policy(ANNA_MAY, SERVICE_MAY))
    step = opened(held, by_anna() if presented else None)
    with pytest.raises(NotApproved if presented else NotAuthorized):
        looks(held, replacing(held, denied), step)

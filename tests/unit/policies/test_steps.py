"""The real steps of a renewal under a policy, asked too early, of another order, or once more; and what is put back.

Whoever can write to Temporal can do all of it under the ID of a run that was allowed. Records, keys, CAs and targets
are real; only the handshakes are not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload

from activities.certificates.issuing import IssuingActivities
from activities.certificates.planning import PlanningActivities
from activities.certificates.steps import Surroundings
from activities.certificates.switching import SwitchingActivities
from clients.challenges import Proof
from clients.issuers import Issuer
from clients.probes import Handshake
from clients.temporal.requests import receive
from rules.requests import Facing, input_digest
from schemas.certificates import (
    CertificateRenewalInput,
    Close,
    IssuedCertificate,
    RenewalPlan,
    StepInput,
    Undo,
)
from schemas.errors import (
    CaRefused,
    CaUnavailable,
    EvidenceUnavailable,
    NotApproved,
    NotAuthorized,
    OrderLost,
    RedoubtError,
    UnknownSubject,
)
from schemas.policies import ApprovalRule, ApproverGroup, Grant, Policy, Role
from schemas.principals import REQUEST_HEADER, Act
from tests.unit.policies.installations import as_run, certificate, installed
from tests.unit.policies.people import policy, request

WWW = "certificate-renewal/www"
ANNA_MAY = Grant(role=Role.OPERATOR, principals=("anna",), capability="certificates", scope="www")
GIVEN = CertificateRenewalInput(certificate="www", force=True)
TARGETS = ("web-1", "web-2")
ANY_PROOF = Proof("www.example.com", "token", "token.thumb")


class Ca:
    """A real CA of ours, which fails as a test says, and shows proofs as others do."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.fails: RedoubtError | None = None
        self.unproved: RedoubtError | None = None
        self.orders = 0
        self.withdrawn = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def place_order(self, names: tuple[str, ...]) -> Any:
        if self.fails is not None:
            raise self.fails
        self.orders += 1
        return self._real.place_order(names)

    def prove_control(self, url: str, beat: Callable[[], None], keep: Any = None) -> Any:
        keep((ANY_PROOF,))
        if self.unproved is not None:
            raise self.unproved
        return self._real.prove_control(url, beat)

    def withdraw(self, _: tuple[Proof, ...]) -> None:
        self.withdrawn += 1


class Hsm:
    """Keys that a service may use where they lie."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def uri(self, key_id: bytes) -> str:
        return f"pkcs11:id={key_id.hex()}"


@dataclass
class Run:
    """The run that was allowed, or somebody under its ID."""

    around: Surroundings
    plan: RenewalPlan
    cas: dict[str, Ca]
    served: "Served"

    def does(self, step: Callable[[Any], Any], given: Any) -> Any:
        return as_run("www").run(step, given)

    def step(self, target: str = "", issuer: str = "local", attempt: int = 1) -> StepInput:
        return self.plan.step(self.plan.groups[0], target=target, issuer=issuer, attempt=attempt)

    def make_key(self) -> Any:
        return self.does(IssuingActivities(self.around).make_key, self.step())

    def obtain(self, issuer: str = "local", attempt: int = 1) -> IssuedCertificate:
        obtain, step = IssuingActivities(self.around).obtain_certificate, self.step("", issuer, attempt)
        issued: IssuedCertificate = self.does(obtain, step)
        self.served.fingerprint = issued.facts.fingerprint
        return issued

    def on(self, verb: str, target: str, issuer: str = "local", attempt: int = 1) -> str:
        step = getattr(SwitchingActivities(self.around), verb)
        return str(self.does(step, self.step(target, issuer, attempt)).words)

    def whole(self, issued: IssuedCertificate) -> set[str]:
        """Every target through its three steps; what they hold."""
        alone = [(verb, target) for target in TARGETS for verb in ("switch", "verify")]
        for verb, target in (*(("stage", target) for target in TARGETS), *alone):
            self.on(verb, target, issued.issuer, issued.attempt)
        held = SwitchingActivities(self.around)._held_by(self.around.inventory["www"].targets)
        return {one.fingerprint for one in held.values() if one}

    def undo(self) -> tuple[str, ...]:
        undo = Undo(operation=self.plan.operation, certificate="www", why="a rogue")
        return tuple(self.does(SwitchingActivities(self.around).begin_undo, undo).targets)

    def close(self) -> None:
        close = Close(operation=self.plan.operation, certificate="www", outcome="renewed")
        self.does(SwitchingActivities(self.around).close_renewal, close)

    def begun(self) -> set[str]:
        return {one.step for one in self.around.journal.steps(self.plan.operation)}

    def stands(self) -> None:
        """It is in the middle, and nobody has found anything against it."""
        with pytest.raises(NotAuthorized, match="has not failed as far as its records show"):
            self.undo()
        assert not self.around.journal.operation(self.plan.operation).undoing

    def distrusts(self, issuer: str) -> None:
        self.around = replace(self.around, distrusted=frozenset({issuer}))


@dataclass
class Served:
    """Every target shows what was issued last."""

    fingerprint: str = ""

    def handshake(self, *_: object) -> Handshake:
        return Handshake(fingerprint=self.fingerprint, trusted=True, tls_version="TLSv1.3")


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Run]:
    """A renewal that Anna has asked for, and may abort."""

    def built(some: Policy | None = None) -> Run:
        own = certificate(
            tmp_path, "www", TARGETS, issuers=["local", "second"], waves=[1], verify_timeout_s=5.0
        )
        around = installed(tmp_path, some or policy(ANNA_MAY), {"www": own})
        cas = {name: Ca(around.issuer(name)) for name in ("local", "second")}
        issuer: Callable[[str], Issuer] = cas.__getitem__
        hsm = Hsm(around.key_store("keys"))
        around = replace(around, issuer=issuer, key_store=lambda _: hsm, prober=(served := Served()))
        asked = request(
            facing=Facing("test", "default", Act.START, "CertificateRenewal", WWW, input_digest(GIVEN))
        )

        def plan(given: CertificateRenewalInput) -> RenewalPlan:
            receive({REQUEST_HEADER: Payload(data=asked.model_dump_json().encode())})
            try:
                return PlanningActivities(around).plan_renewal(given)
            finally:
                receive({})

        return Run(around, as_run("www").run(plan, GIVEN), cas, served)

    return built


# --- one certificate, whatever is asked again ---------------------------------------------------------


def test_what_one_issuer_has_issued_is_what_every_issuer_brings_from_then_on(
    planned: Callable[..., Run],
) -> None:
    """The first CA is back when a run takes the operation up, in the middle of the fleet, and begins with it again."""
    run = planned()
    run.make_key()
    run.cas["local"].fails = CaUnavailable("It is down.")
    with pytest.raises(CaUnavailable):
        run.obtain("local")
    issued = run.obtain("second")
    for verb, target in (("stage", "web-1"), ("stage", "web-2"), ("switch", "web-1"), ("verify", "web-1")):
        run.on(verb, target, "second")

    run.cas["local"].fails = None
    again = run.obtain("local")
    assert again == issued
    assert (again.issuer, again.attempt) == ("second", 1)
    assert (run.cas["local"].orders, run.cas["second"].orders) == (0, 1)
    assert run.whole(again) == {issued.facts.fingerprint}
    run.stands()


# --- too early, or of another part ---------------------------------------------------------------------


def test_a_step_asked_before_anything_is_issued_or_of_another_order_is_no_failure(
    planned: Callable[..., Run],
) -> None:
    run = planned()
    run.make_key()
    for verb in ("stage", "switch", "verify"):
        with pytest.raises((UnknownSubject, NotAuthorized)):
            run.on(verb, "web-1")
    issued = run.obtain()
    for verb in ("stage", "switch", "verify"):
        for issuer, attempt in (("local", 2), ("second", 1)):
            with pytest.raises((UnknownSubject, NotAuthorized)):
                run.on(verb, "web-1", issuer, attempt)
    run.stands()
    assert run.whole(issued) == {issued.facts.fingerprint}


def test_nothing_is_ordered_before_the_key_is_made_and_that_is_no_failure(
    planned: Callable[..., Run],
) -> None:
    run = planned()
    with pytest.raises(NotAuthorized, match="key/shared, which must come first"):
        run.obtain()
    assert run.cas["local"].orders == 0
    assert run.begun() == {"authorization"}
    run.stands()


def test_who_does_not_wait_for_the_approval_ends_nothing(planned: Callable[..., Run]) -> None:
    rule = ApprovalRule(
        capability="certificates", needed=1, groups=(ApproverGroup(name="first", approvers=("ben",)),)
    )
    may_approve = Grant(role=Role.APPROVER, principals=("ben",), capability="certificates")
    run = planned(policy(ANNA_MAY, may_approve, approvals=(rule,)))
    with pytest.raises(NotApproved):
        run.make_key()
    run.stands()


def test_another_order_is_placed_only_where_the_records_show_that_the_one_before_has_failed(
    planned: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned()
    run.make_key()
    run.cas["local"].unproved = CaUnavailable("It is looking.")
    with pytest.raises(NotAuthorized, match="failed/issued/shared/local/1"):
        run.obtain(attempt=2)
    assert run.begun() == {"authorization", "key/shared"}
    run.stands()

    run.cas["local"].unproved = OrderLost("It knows no such order.")
    with monkeypatch.context() as full:
        full.setattr(run.around.journal, "failed", _away)
        with pytest.raises(EvidenceUnavailable):  # and is tried again
            run.obtain()
    with pytest.raises(OrderLost):
        run.obtain()
    run.cas["local"].unproved = None
    assert run.obtain(attempt=2).attempt == 2


def test_proofs_are_taken_away_only_for_an_order_that_took_the_place_of_theirs(
    planned: Callable[..., Run],
) -> None:
    run = planned()
    run.make_key()
    run.cas["local"].unproved = CaUnavailable("It is looking.")
    with pytest.raises(CaUnavailable):
        run.obtain()
    for refused in (run.step(issuer="local", attempt=3), run.step(issuer="second")):
        obtain = IssuingActivities(run.around).obtain_certificate
        with pytest.raises(NotAuthorized):
            as_run("db").run(obtain, refused)
    assert run.cas["local"].withdrawn == 0
    run.obtain("second")
    assert run.cas["local"].withdrawn == 1


# --- an issuer that is not trusted any more --------------------------------------------------------------


def test_a_certificate_of_an_issuer_distrusted_since_is_put_back_from_the_middle(
    planned: Callable[..., Run],
) -> None:
    run = planned()
    run.make_key()
    run.obtain()
    for verb, target in (("stage", "web-1"), ("stage", "web-2"), ("switch", "web-1"), ("verify", "web-1")):
        run.on(verb, target)
    run.distrusts("local")
    for issuer in ("local", "second"):
        with pytest.raises(CaRefused, match="distrusted_issuers"):
            run.obtain(issuer)
    assert run.cas["second"].orders == 0
    assert run.undo() == ("web-1",)


def test_one_that_every_target_was_verified_with_ends_as_renewed_so_that_it_can_be_replaced(
    planned: Callable[..., Run],
) -> None:
    run = planned()
    run.make_key()
    issued = run.obtain()
    run.whole(issued)
    run.distrusts("local")
    run.stands()
    assert run.obtain("second") == run.obtain("local") == issued
    assert run.whole(issued) == {issued.facts.fingerprint}
    run.close()
    assert run.around.journal.operation(run.plan.operation).closed == "renewed"


# --- records that are away -------------------------------------------------------------------------------


def test_records_that_were_away_for_a_moment_are_asked_again(
    planned: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned()
    with monkeypatch.context() as away:
        away.setattr(run.around.journal, "failures", _away)
        with pytest.raises(EvidenceUnavailable, match="a moment ago"):
            run.undo()
    run.stands()


def _away(*_: object) -> None:
    raise EvidenceUnavailable("The records are away.")

"""The gate of approvals: under which an effect begins, and all those under which it does not."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from temporalio.testing import ActivityEnvironment

from activities.approving import ApprovalGate, ApprovingActivities
from activities.authorizing import STEP
from activities.policies import Policies
from clients.identities.signing_keys import verify
from clients.policies.files import policy_of
from clients.signers.verifying import SignatureVerifier
from rules.approvals import digest
from schemas.approvals import Approval, ApprovalAsk, Ballot, State, Tally, Verdict, Vote
from schemas.errors import ClockWrong, NotApproved, NotAuthorized, VoteRefused
from schemas.evidence import Event
from schemas.policies import ApprovalRule, Authorization
from schemas.principals import Principal, Shown
from store.spool import Spool
from store.sql.approvals import SqlApprovals
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from store.sql.policies import SqlPolicies
from tests.unit.approvals.making import rule
from tests.unit.approvals.people import ANNAS_KEY, policy, vote
from tests.unit.policies.test_chain import BOTH, put, signed, written
from tests.unit.policies.test_chain import digest as sha256

KIND, ID = "CertificateRenewal", "certificate-renewal/www"
PLAN: dict[str, JsonValue] = {"names": ["www.example.com"], "grace_s": 0.5}
OLGA = Principal(name="olga", shown=Shown.SIGNING_KEY)


@dataclass
class House:
    gate: ApprovalGate
    activities: ApprovingActivities
    journal: SqlJournal
    approvals: SqlApprovals
    change_policy: Callable[[ApprovalRule], None]

    def open(
        self, subject: str = "www", requester: Principal | None = OLGA, for_whom: Principal | None = None
    ) -> str:
        operation = self.journal.open(
            kind=KIND,
            subject=subject,
            workflow_id=f"certificate-renewal/{subject}",
            run="w/1",
            who="service:certificates",
            correlation_id="",
            state=PLAN,
        ).operation
        if requester is not None:
            kept = Authorization(
                workflow_type=KIND,
                given={"certificate": subject},
                request=None,
                requester=requester,
                on_behalf_of=for_whom,
                policy_version=1,
                policy_sha256="0" * 64,
                at=datetime.now(UTC),
            )
            self.journal.begin(operation, STEP, Event.AUTHORIZATION_ALLOWED, {})
            self.journal.finish(
                operation, STEP, Event.AUTHORIZATION_ALLOWED, {}, kept.model_dump(mode="json")
            )
        return operation

    def ask(self, operation: str) -> Approval:
        asked = as_activity(lambda: self.activities.request_approval(ApprovalAsk(operation=operation)))
        assert isinstance(asked, Approval)
        return asked

    def cast(self, operation: str, one: Vote) -> Tally:
        told: Tally = as_activity(lambda: self.activities.cast_vote(Ballot(operation=operation, vote=one)))
        return told

    def approve(self, operation: str, *names: str) -> Approval:
        asked = self.ask(operation)
        for name in names:
            self.cast(operation, vote(asked.digest, name))
        return asked

    def begin(self, operation: str, step: str = "key/shared", namespace: str = "default") -> dict[str, Any]:
        """What the activity of an effect does first."""
        facts: dict[str, Any] = as_activity(lambda: self.gate.confirm(operation, step), namespace)
        return facts


def as_activity(
    what: Callable[[], Any], namespace: str = "default", server_is: timedelta = timedelta()
) -> Any:
    """`server_is`: by how much Temporal's clock is ahead of this worker's."""
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info,
        namespace=namespace,
        workflow_id=ID,
        workflow_run_id="1",
        started_time=datetime.now(UTC) + server_is,
        start_to_close_timeout=timedelta(minutes=5),
    )
    return environment.run(what)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    engine = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(engine)
    journal = SqlJournal(engine, Spool(tmp_path / "spool", os.urandom(32)), "certificates")

    def built(asks: ApprovalRule | None = None, *, installed: bool = True) -> House:
        records, approvals = SqlPolicies(engine), SqlApprovals(engine, "certificates")
        first = written(policy(asks or rule(("anna", "ben", "cleo", "olga"))))
        if installed:
            put(records, 1, first)
        policies = Policies(records, sha256(first) if installed else None, "test", policy_of, verify)
        gate = ApprovalGate(approvals, policies, journal, SignatureVerifier(), "test")

        def change(to: ApprovalRule) -> None:
            """By the admins of version 1."""
            later = {"version": 2, "previous_sha256": sha256(first)}
            second = written(policy(to).model_copy(update=later))
            put(records, 2, second, signed(second, *BOTH))

        return House(gate, ApprovingActivities(gate, journal), journal, approvals, change)

    yield built
    engine.dispose()


def test_enough_approvers_let_each_effect_of_the_operation_begin(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    assert here.gate.needed(KIND, "www")
    asked = here.approve(operation, "anna", "ben")
    for step in ("key/shared", "order/shared/acme/1", "key/shared"):
        assert here.begin(operation, step) == {"approval": asked.digest, "approved_by": ["anna", "ben"]}
    used = here.approvals.used(asked.digest)
    assert used is not None
    assert used.step == "key/shared"
    assert as_activity(lambda: here.activities.request_approval(ApprovalAsk(operation=operation))) is None


def test_without_a_policy_or_a_rule_nothing_is_asked(house: Callable[..., House]) -> None:
    open_house = house(installed=False)
    assert not open_house.gate.needed(KIND, "www")
    assert open_house.begin(open_house.open()) == {}


def test_of_a_subject_without_a_rule_nobody_is_asked(house: Callable[..., House]) -> None:
    here = house(rule(("anna", "ben")).model_copy(update={"scopes": ("pay-*",)}))
    assert not here.gate.needed(KIND, "www")
    assert here.begin(here.open()) == {}
    assert here.gate.needed(KIND, "pay-1")


def test_an_effect_without_a_request_or_with_too_few_votes_does_not_begin(
    house: Callable[..., House],
) -> None:
    here = house()
    operation = here.open()
    with pytest.raises(NotApproved, match="nobody was asked"):
        here.begin(operation)
    here.approve(operation, "anna")
    with pytest.raises(NotApproved, match=r"1 of 2 approvals"):
        here.begin(operation)
    assert here.journal.steps(operation)[-1].step == STEP


def test_what_comes_before_the_first_effect_wants_the_approval_and_leaves_it_to_the_effect(
    house: Callable[..., House],
) -> None:
    here = house()
    operation = here.open()
    for match, approver in (("nobody was asked", "anna"), (r"1 of 2 approvals", "ben")):
        with pytest.raises(NotApproved, match=match):
            as_activity(lambda: here.gate.granted(operation))
        asked = here.approve(operation, approver)
    as_activity(lambda: here.gate.granted(operation))
    assert here.approvals.used(asked.digest) is None
    here.begin(operation)
    as_activity(lambda: here.gate.granted(operation))
    as_activity(lambda: house(installed=False).gate.granted(operation))


def test_only_a_vote_of_somebody_who_counts_rejects_it(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    assert not as_activity(lambda: here.gate.refused(operation))
    asked = here.approve(operation, "anna")
    assert not as_activity(lambda: here.gate.refused(operation))
    here.cast(operation, vote(asked.digest, "ben", Verdict.REJECT))
    assert as_activity(lambda: here.gate.refused(operation))
    assert as_activity(lambda: here.gate.denied(operation)) == "its approval is refused"


def test_undoing_asks_nobody(house: Callable[..., House]) -> None:
    here = house()
    assert here.begin(here.open(), "undo/web-1") == {}


@pytest.mark.parametrize(
    ("name", "by", "why"),
    [
        ("olga", "", "asked for it"),
        ("sam", "", "no role that may approve"),
        ("ben", "cleo", "no key cleo-1 of ben"),
        ("root", "ben", "no key ben-1 of root"),
    ],
)
def test_a_vote_that_is_none_is_not_taken(house: Callable[..., House], name: str, by: str, why: str) -> None:
    here = house()
    operation = here.open()
    asked = here.ask(operation)
    with pytest.raises(VoteRefused, match=why):
        here.cast(operation, vote(asked.digest, name, by=by))


def test_a_vote_whose_words_were_changed_is_not_taken(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    asked = here.ask(operation)
    rejection = vote(asked.digest, "ben", Verdict.REJECT)
    turned = rejection.model_copy(update={"verdict": Verdict.APPROVE})
    with pytest.raises(VoteRefused, match="signature is not good"):
        here.cast(operation, turned)


def test_a_vote_by_a_clone_of_a_fido2_key_is_not_taken(house: Callable[..., House]) -> None:
    here = house()
    one, other = here.open(), here.open("api")
    here.approve(one, "anna")
    ANNAS_KEY.counter -= 1  # a copy that was made before this vote counts from there
    asked = here.ask(other)
    with pytest.raises(VoteRefused, match="may have been cloned, for it has signed something else"):
        here.cast(other, vote(asked.digest, "anna"))
    assert here.cast(other, vote(asked.digest, "anna")).approved_by == ("anna",)


def test_a_vote_for_another_run_is_not_taken(house: Callable[..., House]) -> None:
    here = house()
    one, other = here.open(), here.open("api")
    about_one = here.ask(one)
    here.ask(other)
    with pytest.raises(VoteRefused, match="another plan"):
        here.cast(other, vote(about_one.digest, "anna"))


def test_votes_that_somebody_has_written_into_the_records_count_nothing(
    house: Callable[..., House],
) -> None:
    here = house()
    operation = here.open()
    asked = here.ask(operation)
    for name in ("anna", "ben"):
        forged = vote(asked.digest, name).model_copy(update={"signature": "AAAA"})
        here.approvals.cast(asked.request, forged, datetime.now(UTC))
    assert here.approvals.count(asked.request, datetime.now(UTC)).state is State.GRANTED
    with pytest.raises(NotApproved, match=r"0 of 2 approvals"):
        here.begin(operation)


def test_a_request_that_says_something_else_than_the_operation_is_not_used(
    house: Callable[..., House],
) -> None:
    here = house()
    operation = here.open()
    asked = here.ask(operation)
    harmless = asked.request.model_copy(update={"plan": {"names": ["harmless.example.com"]}})
    here.approvals.ask(harmless, instead_of=asked.digest)
    for name in ("anna", "ben"):
        here.approvals.cast(harmless, vote(digest(harmless), name), datetime.now(UTC))
    with pytest.raises(NotApproved, match="not what was approved"):
        here.begin(operation)
    anew = here.ask(operation)
    assert anew.request.plan == asked.request.plan
    assert anew.tally.approved_by == ()


def test_an_approval_holds_in_one_namespace(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    here.approve(operation, "anna", "ben")
    with pytest.raises(NotApproved, match="not what was approved"):
        here.begin(operation, namespace="elsewhere")


def test_an_approval_that_has_expired_begins_nothing_and_is_asked_for_anew(
    house: Callable[..., House],
) -> None:
    here = house(rule(("anna", "ben"), hours=1 / 3600))
    operation = here.open()
    asked = here.ask(operation)
    past = asked.request.model_copy(
        update={
            "asked_at": asked.request.asked_at - timedelta(hours=1),
            "expires": asked.request.expires - timedelta(hours=1),
        }
    )
    here.approvals.ask(past, instead_of=asked.digest)
    for name in ("anna", "ben"):
        here.approvals.cast(past, vote(digest(past), name, at=past.asked_at), past.asked_at)
    with pytest.raises(NotApproved, match="expired"):
        here.begin(operation)
    assert here.ask(operation).digest not in {asked.digest, digest(past)}


def test_what_has_begun_goes_on_after_the_expiry(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    asked = here.approve(operation, "anna", "ben")
    here.begin(operation)
    late = asked.request.expires + timedelta(days=1)
    assert here.approvals.count(asked.request, late).state is State.GRANTED
    assert here.begin(operation, "switch/web-1")["approval"] == asked.digest


def test_an_unknown_requester_needs_one_approver_more(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open(requester=None)
    asked = here.approve(operation, "anna", "ben")
    assert asked.request.requester.name == "unknown"
    with pytest.raises(NotApproved, match=r"2 of 3 approvals"):
        here.begin(operation)
    here.cast(operation, vote(asked.digest, "olga"))
    assert here.begin(operation)["approved_by"] == ["anna", "ben", "olga"]


def test_a_later_policy_voids_what_has_not_begun_and_leaves_what_has(house: Callable[..., House]) -> None:
    here = house()
    begun, waiting = here.open(), here.open("api")
    here.approve(begun, "anna", "ben")
    here.begin(begun)
    before = here.approve(waiting, "anna", "ben")
    here.change_policy(rule(("anna", "ben", "cleo"), needed=3))
    assert here.begin(begun, "switch/web-1")["approved_by"] == ["anna", "ben"]
    with pytest.raises(NotApproved, match="policy has changed"):
        here.begin(waiting)
    anew = here.ask(waiting)
    assert (anew.digest == before.digest, anew.tally.needed, anew.tally.approved_by) == (False, 3, ())


def test_a_rejection_ends_it(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    asked = here.approve(operation, "anna")
    assert here.cast(operation, vote(asked.digest, "ben", Verdict.REJECT)).state is State.REFUSED
    with pytest.raises(NotApproved, match="refused"):
        here.begin(operation)


def test_asking_again_finds_the_same_request_with_its_votes(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    asked = here.approve(operation, "anna")
    again = here.ask(operation)
    assert (again.digest, again.tally.approved_by) == (asked.digest, ("anna",))


def test_a_policy_that_does_not_verify_begins_nothing(house: Callable[..., House]) -> None:
    here = house()
    operation = here.open()
    here.approve(operation, "anna", "ben")
    here.gate._policies._root = "f" * 64
    here.gate._policies._verified = ((), ())
    with pytest.raises(NotAuthorized, match="does not verify"):
        here.begin(operation)


def test_who_has_started_a_revocation_does_not_approve_the_renewal_that_it_starts(
    house: Callable[..., House],
) -> None:
    here = house(rule(("anna", "ben", "olga")))
    service = Principal(name="service:certificates", shown=Shown.SERVICE)
    operation = here.open(requester=service, for_whom=OLGA)
    asked = here.approve(operation, "anna")
    with pytest.raises(VoteRefused, match="asked for it"):
        here.cast(operation, vote(asked.digest, "olga"))
    here.approvals.cast(asked.request, vote(asked.digest, "ben"), datetime.now(UTC))
    assert here.begin(operation)["approved_by"] == ["anna", "ben"]


@pytest.mark.parametrize("ahead", [timedelta(days=-1), timedelta(days=1)], ids=["ahead", "behind"])
def test_a_worker_whose_clock_is_a_day_off_decides_nothing(
    house: Callable[..., House], ahead: timedelta
) -> None:
    """It neither takes an approval that has expired for good nor one that is good for expired."""
    here = house()
    operation = here.open()
    asked = here.approve(operation, "anna")
    for what in (
        lambda: here.activities.request_approval(ApprovalAsk(operation=operation)),
        lambda: here.activities.cast_vote(Ballot(operation=operation, vote=vote(asked.digest, "ben"))),
        lambda: here.activities.count_approval(ApprovalAsk(operation=operation)),
        lambda: here.gate.confirm(operation, "key/shared"),
    ):
        with pytest.raises(ClockWrong):
            as_activity(what, server_is=ahead)
    here.cast(operation, vote(asked.digest, "ben"))
    assert here.begin(operation)["approved_by"] == ["anna", "ben"]


def test_an_approval_that_was_refused_or_has_expired_is_denied_until_it_was_used(
    house: Callable[..., House],
) -> None:
    here = house()
    refused, granted = here.open(), here.open("api")

    def denied(operation: str) -> str:
        said: str = as_activity(lambda: here.gate.denied(operation))
        return said

    assert denied(refused) == ""
    asked = here.approve(refused, "anna")
    assert denied(refused) == ""
    here.cast(refused, vote(asked.digest, "ben", Verdict.REJECT))
    assert denied(refused) == "its approval is refused"
    here.approve(granted, "anna", "ben")
    assert denied(granted) == ""


def test_an_approval_of_something_else_is_denied_by_the_records_and_wherever_that_is_asked(
    house: Callable[..., House],
) -> None:
    here = house()
    operation = here.open()
    asked = here.approve(operation, "anna", "ben")
    assert as_activity(lambda: here.gate.denied(operation), namespace="elsewhere") == ""
    harmless = asked.request.model_copy(update={"plan": {"names": ["harmless.example.com"]}})
    here.approvals.ask(harmless, instead_of=asked.digest)
    assert as_activity(lambda: here.gate.denied(operation)) == (
        "what is to be done is not what approval was asked for"
    )

"""Who may pause, resume and abort a run, and for what an operation is put back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from sqlalchemy import Engine, text
from temporalio.testing import ActivityEnvironment

from activities.judging import Judge
from activities.policies import Policies
from activities.steering import Steering, SteeringActivities
from clients.identities.requesting import signed_request
from clients.identities.signing_keys import verify
from clients.policies.files import policy_of
from clients.signers import Signer
from rules.requests import Facing, input_digest
from rules.roles import ACTS
from schemas.errors import EvidenceUnavailable, NotAuthorized
from schemas.policies import Grant, Policy, Role
from schemas.principals import Act, Principal, Shown, SignedRequest
from schemas.runs import Steer, Told, Word
from store import Operation
from store.spool import Spool
from store.sql.engine import connect, reading
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from store.sql.policies import SqlPolicies
from tests.unit.policies.people import ADMIN, ANNA, API, policy
from tests.unit.policies.test_chain import digest, put, written

KIND, ID = "CertificateRenewal", "certificate-renewal/www"
WHY = Steer(reason="a complaint")
Steered = Literal[Act.PAUSE, Act.RESUME, Act.ABORT]
STEERED: tuple[Steered, ...] = (Act.PAUSE, Act.RESUME, Act.ABORT)
ANNA_MAY = Grant(role=Role.OPERATOR, principals=("anna",), capability="certificates", scope="www")


class House(NamedTuple):
    steering: Steering
    journal: SqlJournal
    engine: Engine
    sent: dict[str, bytes | None]

    def hear(self, told: Told, presented: SignedRequest | bytes | None = None, **info: Any) -> Word:
        word: Word = self.does(lambda: SteeringActivities(self.steering).hear(told), presented, **info)
        return word

    def does(
        self, what: Callable[[], Any], presented: SignedRequest | bytes | None = None, **info: Any
    ) -> Any:
        """As an activity of the run `1` with this header."""
        raw = presented.model_dump_json().encode() if isinstance(presented, SignedRequest) else presented
        self.sent["now"] = raw
        environment, now = ActivityEnvironment(), datetime.now(UTC)
        given = {"workflow_type": KIND, "workflow_id": ID, "workflow_run_id": "1", "activity_id": "1"}
        environment.info = replace(
            environment.info, **{**given, "scheduled_time": now, "started_time": now, **info}
        )
        return environment.run(what)

    def opened(self) -> Operation:
        return self.journal.open(
            kind=KIND,
            subject="www",
            workflow_id=ID,
            run=f"{ID}/1",
            who="service:certificates",
            correlation_id="",
            state={},
        )

    def may_undo(self, word: Word | None = None, failed: str = "", **info: Any) -> Any:
        opened = self.opened()
        return self.does(lambda: self.steering.may_undo(opened, word, lambda: failed), **info)

    def evidence(self) -> str:
        with reading(self.engine) as connection:
            rows = connection.execute(text("SELECT entry FROM evidence ORDER BY id"))
            return "\n".join(row.entry.decode() for row in rows)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    engine = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(engine)
    journal = SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")

    def built(some: Policy | None) -> House:
        records, sent = SqlPolicies(engine), dict[str, bytes | None]()
        root = None
        if some is not None:
            root = digest(written(some))
            put(records, 1, written(some))
        policies = Policies(records, root, "test", policy_of, verify)
        judge = Judge(policies, records, journal, "test", verify, lambda: sent.get("now"))
        return House(Steering(judge), journal, engine, sent)

    yield built
    engine.dispose()


def signed(
    act: Act = Act.ABORT,
    signer: Signer = ANNA,
    principal: Principal | None = None,
    steer: Steer = WHY,
    **facing: Any,
) -> SignedRequest:
    own = Facing("test", "default", act, KIND, ID, input_digest(steer), "1")
    who = principal or Principal(name="anna", shown=Shown.SIGNING_KEY)
    return signed_request(signer, who, own._replace(**facing))


def told(act: Steered = Act.ABORT) -> Told:
    return Told(act=act, steer=WHY)


def test_without_a_policy_everybody_may(house: Callable[..., House]) -> None:
    open_house = house(None)
    word = open_house.hear(told())
    assert (word.request, word.requester.name) == (None, "unknown")
    assert open_house.may_undo(word) == open_house.may_undo() == {}


@pytest.mark.parametrize("act", STEERED)
def test_a_signed_word_is_taken_from_who_may_and_is_evidence(
    house: Callable[..., House], act: Steered
) -> None:
    held = house(policy(ANNA_MAY))
    word = held.hear(told(act), signed(act))
    assert (word.requester.name, word.told) == ("anna", told(act))
    assert '"authorization.allowed"' in held.evidence()
    assert "a complaint" in held.evidence()


@pytest.mark.parametrize(
    ("presented", "match"),
    [
        (None, "unknown has no role"),
        (b"{}", "is none"),
        (signed(Act.PAUSE), "another act"),
        (signed(run_id="2"), "another run id"),
        (signed(run_id=""), "another run id"),
        (signed(workflow_id="certificate-renewal/db"), "another workflow id"),
        (signed(namespace="other"), "another namespace"),
        (signed(installation="other"), "another installation"),
        (signed(steer=Steer(reason="another")), "another input"),
        (signed(signer=ADMIN), "root"),
        (signed().model_copy(update={"issued_at": datetime(2020, 1, 1, tzinfo=UTC)}), "longer than a day"),
        (signed(Act.START, run_id=""), "another act"),
    ],
)
def test_what_is_not_signed_for_just_this_is_refused(
    house: Callable[..., House], presented: SignedRequest | bytes | None, match: str
) -> None:
    held = house(policy(ANNA_MAY))
    with pytest.raises(NotAuthorized, match=match):
        held.hear(told(), presented)
    assert '"authorization.refused"' in held.evidence()


def test_a_word_comes_too_late_after_a_quarter_of_an_hour(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    later = datetime.now(UTC) + timedelta(minutes=16)
    with pytest.raises(NotAuthorized, match="expired"):
        held.hear(told(), signed(), scheduled_time=later)


def test_a_word_is_taken_once_but_its_activity_may_be_tried_again(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    one = signed(Act.PAUSE)
    assert held.hear(told(Act.PAUSE), one) == held.hear(told(Act.PAUSE), one)
    with pytest.raises(NotAuthorized, match="used already"):
        held.hear(told(Act.PAUSE), one, activity_id="2")


def test_a_word_from_a_run_whose_id_names_nothing_is_refused(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    for info in ({"workflow_id": "x"}, {"workflow_type": "Rogue"}, {"workflow_type": None}):
        with pytest.raises(NotAuthorized, match="does not say"):
            held.hear(told(), signed(), **info)


@pytest.mark.parametrize("act", STEERED)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("shown", [Shown.SIGNING_KEY, Shown.OIDC, Shown.SERVICE, Shown.UNKNOWN])
def test_every_role_may_tell_a_run_what_the_table_says_and_nothing_else(
    house: Callable[..., House], act: Steered, role: Role, shown: Shown
) -> None:
    """Anna by her own key, Ben vouched for by the API, the API itself, and somebody unknown."""
    name = {Shown.SIGNING_KEY: "anna", Shown.OIDC: "ben", Shown.SERVICE: "service:api"}.get(shown, "unknown")
    signer = ANNA if shown is Shown.SIGNING_KEY else API
    held = house(policy(Grant(role=role, principals=(name,))))
    presented = None if shown is Shown.UNKNOWN else signed(act, signer, Principal(name=name, shown=shown))
    try:
        held.hear(told(act), presented)
    except NotAuthorized:
        assert act not in ACTS[role]
    else:
        assert act in ACTS[role]


# --- what is put back -------------------------------------------------------------------------------


def test_nothing_is_put_back_for_nobodys_word(house: Callable[..., House]) -> None:
    """Whoever starts the activity directly, completes another one, or cancels by Temporal's own means."""
    held = house(policy(ANNA_MAY))
    with pytest.raises(NotAuthorized, match="has not failed as far as its records show"):
        held.may_undo()
    assert '"authorization.refused"' in held.evidence()


def test_what_has_failed_is_put_back_for_nobodys_word(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    assert held.may_undo(failed="verify/web-1 has failed") == {"failed": "verify/web-1 has failed"}


def test_another_run_puts_nothing_back_whatever_has_failed(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    with pytest.raises(NotAuthorized, match="by its own run"):
        held.may_undo(failed="verify/web-1 has failed", workflow_id="certificate-renewal/db")


def test_it_is_put_back_for_an_abort_that_this_run_has_taken(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    word = held.hear(told(), signed())
    late = datetime.now(UTC) + timedelta(hours=3)  # a step was under way
    assert held.may_undo(word, scheduled_time=late)["authorized"]["requester"] == "anna"


def test_a_forged_or_borrowed_abort_puts_nothing_back(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    with pytest.raises(NotAuthorized, match="has not taken"):
        held.may_undo(Word(told=told(), request=signed(), requester=ANNAS))
    word = held.hear(told(), signed())
    with pytest.raises(NotAuthorized, match="has not taken"):
        held.may_undo(word, workflow_run_id="2")
    other = word.model_copy(update={"told": Told(act=Act.ABORT, steer=Steer(reason="forged"))})
    with pytest.raises(NotAuthorized, match="another input"):
        held.may_undo(other)
    paused = held.hear(told(Act.PAUSE), signed(Act.PAUSE), activity_id="2")
    for claimed in (paused, paused.model_copy(update={"told": told()})):
        with pytest.raises(NotAuthorized):
            held.may_undo(claimed)


def test_unknown_puts_back_what_the_policy_lets_unknown_abort(house: Callable[..., House]) -> None:
    held = house(policy(Grant(role=Role.OPERATOR, principals=("unknown",), scope="www")))
    assert held.may_undo()["authorized"]["requester"] == "unknown"


def test_what_undoes_itself_goes_on_undoing(house: Callable[..., House]) -> None:
    held = house(policy())
    opened = held.opened().model_copy(update={"undoing": True})
    assert held.does(lambda: held.steering.may_undo(opened, None, lambda: "")) == {}


def test_putting_back_does_not_wait_for_records_that_are_away(house: Callable[..., House]) -> None:
    held, opened = house(policy()), house(None).opened()

    def away() -> str:
        raise EvidenceUnavailable("The records can't be read.")

    assert held.does(lambda: held.steering.may_undo(opened, None, away)) == {"records": "away"}


def test_a_refusal_that_cannot_be_written_is_tried_again_and_never_a_yes(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records answer, and take nothing: they are full, say."""
    held = house(policy(ANNA_MAY))

    def full(_: object) -> None:
        raise EvidenceUnavailable("The records can't be written.")

    opened = held.opened()
    monkeypatch.setattr(held.journal, "note", full)
    with pytest.raises(EvidenceUnavailable):
        held.does(lambda: held.steering.may_undo(opened, None, lambda: ""))
    unverified = Policies(SqlPolicies(held.engine), "0" * 64, "test", policy_of, verify)
    judge = Judge(unverified, SqlPolicies(held.engine), held.journal, "test", verify, lambda: None)
    with pytest.raises(EvidenceUnavailable):
        held.does(lambda: Steering(judge).may_undo(opened, None, lambda: ""))


def test_what_has_failed_is_put_back_although_the_policy_does_not_verify(
    house: Callable[..., House],
) -> None:
    held = house(policy(ANNA_MAY))
    policies = Policies(SqlPolicies(held.engine), "0" * 64, "test", policy_of, verify)
    judge = Judge(policies, SqlPolicies(held.engine), held.journal, "test", verify, lambda: None)
    broken, opened = Steering(judge), held.opened()
    assert held.does(lambda: broken.may_undo(opened, None, lambda: "it has failed"))
    with pytest.raises(NotAuthorized, match="does not verify"):
        held.does(lambda: broken.may_undo(opened, None, lambda: ""))


ANNAS = Principal(name="anna", shown=Shown.SIGNING_KEY)

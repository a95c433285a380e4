"""The gate: what begins an operation and each of its effects, and what does not."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text
from temporalio.testing import ActivityEnvironment

from activities.authorizing import STEP, Gate
from activities.judging import Judge
from activities.policies import Policies
from clients.identities.requesting import signed_request
from clients.identities.signing_keys import verify
from clients.policies.files import policy_of
from clients.signers import Signer
from rules.requests import Facing, input_digest
from schemas.certificates import CertificateRenewalInput
from schemas.errors import NotAuthorized
from schemas.policies import Authorization, Grant, Policy, PrincipalEntry, Role, Window
from schemas.principals import Act, Principal, Shown, SignedRequest
from store.spool import Spool
from store.sql.engine import connect, reading
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from store.sql.policies import SqlPolicies
from tests.servers.fido2_key import SoftwareKey
from tests.unit.policies.people import ANNA, API, fido2_signer, policy, request
from tests.unit.policies.test_chain import digest, put, written

KIND = "CertificateRenewal"
WWW = CertificateRenewalInput(certificate="www")
ID = "certificate-renewal/www"
ANNA_MAY = Grant(role=Role.OPERATOR, principals=("anna",), capability="certificates", scope="www")
ANYBODY_MAY = Grant(role=Role.OPERATOR, principals=("unknown",), capability="certificates", scope="www")


class House(NamedTuple):
    gate: Gate
    journal: SqlJournal
    engine: Engine
    sent: dict[str, bytes | None]
    clock: dict[str, datetime]
    """Of Temporal's server: when this activity was `scheduled`, and when its run was `taken up`; now, if not told."""

    def admit(self, presented: bytes | None, given: CertificateRenewalInput = WWW, run: str = "1") -> Any:
        return self.does(lambda: self.gate.admit(KIND, given), presented, run=run)

    def does(
        self,
        what: Callable[[], Any],
        presented: bytes | None = None,
        *,
        workflow_id: str = ID,
        run: str = "1",
    ) -> Any:
        """As an activity of this run, with this header."""
        self.sent["now"] = presented
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info,
            workflow_type=KIND,
            workflow_id=workflow_id,
            workflow_run_id=run,
            scheduled_time=self.clock.get("scheduled", datetime.now(UTC)),
            started_time=datetime.now(UTC),
        )
        return environment.run(what)

    def opened(self, subject: str = "www", workflow_id: str = ID) -> str:
        return self.journal.open(
            kind=KIND,
            subject=subject,
            workflow_id=workflow_id,
            run=f"{workflow_id}/1",
            who="service:certificates",
            correlation_id="",
            state={},
        ).operation

    def events(self) -> list[str]:
        with reading(self.engine) as connection:
            rows = connection.execute(text("SELECT entry FROM evidence ORDER BY id"))
            told = [str(json.loads(row.entry)["what"]) for row in rows]
        return [what for what in told if what != "policy.applied"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    engine = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(engine)
    journal = SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")

    def built(some: Policy | None) -> House:
        records = SqlPolicies(engine)
        sent: dict[str, bytes | None] = {}
        root = None
        if some is not None:
            root = digest(written(some))
            put(records, 1, written(some))
        policies = Policies(records, root, "test", policy_of, verify)
        clock: dict[str, datetime] = {}
        judge = Judge(policies, records, journal, "test", verify, lambda: sent.get("now"))
        gate = Gate(judge, lambda: clock["taken up"])
        return House(gate, journal, engine, sent, clock)

    yield built
    engine.dispose()


def signed(given: CertificateRenewalInput = WWW, signer: Signer = ANNA, **changes: Any) -> SignedRequest:
    return request(signer, facing=facing_of(given)).model_copy(update=changes)


def header(one: SignedRequest) -> bytes:
    return one.model_dump_json().encode()


def test_without_a_policy_everything_works_as_before(house: Callable[..., House]) -> None:
    open_house = house(None)
    assert open_house.admit(None) is None
    operation = open_house.opened()
    open_house.gate.record(operation, None)
    assert open_house.does(lambda: open_house.gate.confirm(operation, "key/shared")) == {}
    assert open_house.events() == ["operation.opened"]


def test_a_start_signed_by_a_clone_of_a_fido2_key_is_refused(house: Callable[..., House]) -> None:
    device = SoftwareKey()
    key = fido2_signer("anna", device)
    anna = PrincipalEntry(signing_keys=(key.key,))
    held = house(policy(ANNA_MAY, principals={**policy().principals, "anna": anna}))
    assert held.admit(header(signed(signer=key)), run="1")
    device.counter -= 1  # a copy that was made before this start counts from there
    with pytest.raises(NotAuthorized, match="may have been cloned"):
        held.admit(header(signed(signer=key)), run="2")
    assert held.events() == ["authorization.refused"]
    assert held.admit(header(signed(signer=key)), run="3")


def test_a_signed_start_is_admitted_recorded_and_confirmed_at_each_effect(
    house: Callable[..., House],
) -> None:
    held = house(policy(ANNA_MAY))
    authority = held.admit(header(signed()))
    assert authority.requester == Principal(name="anna", shown=Shown.SIGNING_KEY)
    operation = held.opened()
    held.gate.record(operation, authority)
    facts = held.does(lambda: held.gate.confirm(operation, "key/shared"))["authorized"]
    assert (facts["requester"], facts["policy_version"]) == ("anna", 1)
    assert held.events() == ["operation.opened", "authorization.allowed", "authorization.allowed"]


def test_an_unsigned_start_has_what_is_granted_to_unknown(house: Callable[..., House]) -> None:
    held = house(policy(ANYBODY_MAY))
    authority = held.admit(None)
    operation = held.opened()
    held.gate.record(operation, authority)
    assert (
        held.does(lambda: held.gate.confirm(operation, "switch/web-1"))["authorized"]["requester"]
        == "unknown"
    )


def test_an_unsigned_start_without_a_grant_is_refused_and_that_is_evidence(
    house: Callable[..., House],
) -> None:
    held = house(policy(ANNA_MAY))
    with pytest.raises(NotAuthorized, match="unknown has no role"):
        held.admit(None)
    assert held.events() == ["authorization.refused"]


def test_an_effect_of_an_operation_that_nobody_was_admitted_to_start_is_refused(
    house: Callable[..., House],
) -> None:
    """Who completes the first activity with a plan of their own, or starts an effect's activity directly."""
    held = house(policy(ANNA_MAY))
    operation = held.opened()
    for presented in (None, header(signed())):
        with pytest.raises(NotAuthorized, match="Nobody"):
            held.does(lambda: held.gate.confirm(operation, "switch/web-1"), presented)
    assert held.does(lambda: held.gate.confirm(operation, "undo/switch/web-1")) == {}


def test_an_effect_by_another_run_than_the_operations_is_refused(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    operation = held.opened()
    held.gate.record(operation, held.admit(header(signed())))
    with pytest.raises(NotAuthorized, match="another run"):
        held.does(lambda: held.gate.confirm(operation, "key/shared"), workflow_id="certificate-renewal/db")


def test_a_record_of_another_operation_is_refused(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    authority = held.admit(header(signed()))
    other = held.opened("db", "certificate-renewal/db")
    held.gate.record(other, authority)
    with pytest.raises(NotAuthorized, match="another run"):
        held.does(lambda: held.gate.confirm(other, "key/shared"), workflow_id="certificate-renewal/db")


def test_a_record_with_a_changed_byte_is_refused(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    authority: Authorization = held.admit(header(signed()))
    operation = held.opened()
    forced = {**authority.given, "force": True}
    held.gate.record(operation, authority.model_copy(update={"given": forced}))
    with pytest.raises(NotAuthorized, match="another input"):
        held.does(lambda: held.gate.confirm(operation, "key/shared"))


@pytest.mark.parametrize(
    ("given", "run_of"),
    [
        (CertificateRenewalInput(certificate="db"), "certificate-renewal/db"),
        (CertificateRenewalInput(certificate="www", force=True), ID),
    ],
    ids=["another workflow ID", "another input"],
)
def test_a_replayed_request_is_refused(
    house: Callable[..., House], given: CertificateRenewalInput, run_of: str
) -> None:
    held = house(policy(ANNA_MAY.model_copy(update={"scope": "*"})))
    with pytest.raises(NotAuthorized, match="for another"):
        held.does(lambda: held.gate.admit(KIND, given), header(signed()), workflow_id=run_of)


def test_a_request_after_its_expiry_is_refused(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    now = datetime.now(UTC)
    old = signed(issued_at=now - timedelta(hours=2), expires=now - timedelta(hours=1))
    held.clock["taken up"] = now
    with pytest.raises(NotAuthorized, match="expired"):
        held.admit(header(old))


def test_a_changed_byte_anywhere_in_a_request_is_refused(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY, ANYBODY_MAY))
    good = header(signed())
    for index in range(0, len(good), 7):
        bad = good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :]
        with pytest.raises(NotAuthorized):
            held.admit(bad, run=str(index))
    assert held.admit(good)


def test_a_request_is_used_by_one_run(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    one = header(signed())
    authority = held.admit(one)
    assert held.admit(one).request == authority.request
    with pytest.raises(NotAuthorized, match="used by another run"):
        held.admit(one, run="2")
    operation = held.opened()
    held.gate.record(operation, authority)
    assert held.does(lambda: held.gate.admit(KIND, WWW, operation), one, run="2")


def test_a_run_outside_its_window_is_refused(house: Callable[..., House]) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).strftime("%A").lower()
    shut = Window.model_validate({"capability": "certificates", "days": (tomorrow,)})
    held = house(policy(ANNA_MAY, windows=(shut,)))
    with pytest.raises(NotAuthorized, match="windows"):
        held.admit(header(signed()))


def test_the_first_authority_stays_with_an_operation(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY, ANYBODY_MAY))
    operation = held.opened()
    held.gate.record(operation, held.admit(header(signed())))
    held.gate.record(operation, held.admit(None, run="2"))
    kept = held.journal.result(operation, STEP)
    assert kept is not None
    assert Authorization.model_validate(kept).requester.name == "anna"


# --- late, reset, and on behalf of somebody ---------------------------------------------------------


def test_a_start_that_waited_for_a_worker_was_good_when_temporal_took_it_up(
    house: Callable[..., House],
) -> None:
    held = house(policy(ANNA_MAY))
    one = signed()
    held.clock["scheduled"] = one.issued_at + timedelta(hours=3)
    held.clock["taken up"] = one.expires
    with pytest.raises(NotAuthorized, match="expired"):
        held.admit(header(one))
    held.clock["taken up"] = one.expires - timedelta(seconds=1)
    assert held.admit(header(one)).at == held.clock["taken up"]


def test_a_start_waits_for_a_day_at_most(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    one = signed()
    held.clock["taken up"] = one.issued_at
    held.clock["scheduled"] = one.issued_at + timedelta(days=1)
    with pytest.raises(NotAuthorized, match="expired"):
        held.admit(header(one))


def test_a_first_step_that_is_tried_for_long_is_judged_by_when_it_was_scheduled(
    house: Callable[..., House],
) -> None:
    """However late an attempt is, and whatever this worker's clock says."""
    held = house(policy(ANNA_MAY))
    now = datetime.now(UTC)
    one = signed()
    held.clock["scheduled"] = one.issued_at
    assert held.admit(header(one)).at == one.issued_at
    future = request(facing=facing_of(WWW)).model_copy(update={"issued_at": now + timedelta(days=1)})
    with pytest.raises(NotAuthorized):
        held.admit(header(future), run="2")


def test_a_reset_run_goes_on_by_the_request_that_its_operation_has(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    one = signed()
    authority = held.admit(header(one))
    operation = held.opened()
    held.gate.record(operation, authority)
    held.clock["scheduled"] = one.issued_at + timedelta(days=30)
    again = held.does(lambda: held.gate.admit(KIND, WWW, operation), header(one), run="2")
    assert again == authority
    held.clock["taken up"] = held.clock["scheduled"]
    for left in (None, held.opened("db", "certificate-renewal/db")):
        taking_up = partial(held.gate.admit, KIND, WWW, left)
        with pytest.raises(NotAuthorized, match="expired"):
            held.does(taking_up, header(one), run="2")


def facing_of(given: CertificateRenewalInput) -> Facing:
    return Facing(
        "test", "default", Act.START, KIND, f"certificate-renewal/{given.certificate}", input_digest(given)
    )


def by_service(on_behalf_of: str) -> bytes:
    service = Principal(name="service:api", shown=Shown.SERVICE, hardware=True)
    return header(signed_request(API, service, facing_of(WWW), on_behalf_of=on_behalf_of))


SERVICE_MAY = Grant(role=Role.OPERATOR, principals=("service:api",), capability="certificates")


def asking(held: House, presented: bytes | None) -> str:
    """An operation of its own, as a revocation's, started with this header."""
    given = CertificateRenewalInput(certificate="db")
    authority = held.does(
        lambda: held.gate.admit(KIND, given), presented, workflow_id="certificate-renewal/db", run="7"
    )
    operation = held.opened("db", "certificate-renewal/db")
    held.gate.record(operation, authority)
    return operation


@pytest.mark.parametrize("by", ["anna", "unknown"])
def test_what_a_service_starts_is_on_behalf_of_who_has_started_its_operation(
    house: Callable[..., House], by: str
) -> None:
    everywhere = Grant(role=Role.OPERATOR, principals=("anna", "unknown"), capability="certificates")
    held = house(policy(everywhere, SERVICE_MAY))
    db = CertificateRenewalInput(certificate="db")
    parent = asking(held, None if by == "unknown" else header(signed(db)))
    authority = held.admit(by_service(parent))
    assert (authority.requester.name, authority.on_behalf_of.name) == ("service:api", by)
    operation = held.opened()
    held.gate.record(operation, authority)
    facts = held.does(lambda: held.gate.confirm(operation, "key/shared"))["authorized"]
    assert (facts["requester"], facts["on_behalf_of"]) == ("service:api", by)
    grandchild = signed_request(
        API,
        Principal(name="service:api", shown=Shown.SERVICE, hardware=True),
        facing_of(WWW),
        on_behalf_of=operation,
    )
    again = held.does(lambda: held.gate.admit(KIND, WWW), header(grandchild), run="3")
    assert again.on_behalf_of.name == by


def test_nobody_is_left_out_of_the_record_of_on_whose_behalf_it_is(house: Callable[..., House]) -> None:
    held = house(policy(Grant(role=Role.OPERATOR, principals=("anna",)), SERVICE_MAY))
    authority = held.admit(
        by_service(asking(held, header(signed(CertificateRenewalInput(certificate="db")))))
    )
    operation = held.opened()
    held.gate.record(operation, authority.model_copy(update={"on_behalf_of": None}))
    with pytest.raises(NotAuthorized, match="somebody else"):
        held.does(lambda: held.gate.confirm(operation, "key/shared"))


def test_on_behalf_of_an_operation_that_nobody_known_has_started_is_of_unknown(
    house: Callable[..., House],
) -> None:
    held = house(policy(SERVICE_MAY))
    assert held.admit(by_service(held.opened("db", "certificate-renewal/db"))).on_behalf_of.name == "unknown"
    assert held.admit(by_service(""), run="2").on_behalf_of is None


def test_a_person_asks_on_behalf_of_nobody(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    own = signed_request(
        ANNA,
        Principal(name="anna", shown=Shown.SIGNING_KEY),
        facing_of(WWW),
        on_behalf_of=held.opened("db", "certificate-renewal/db"),
    )
    with pytest.raises(NotAuthorized, match="only a service"):
        held.admit(header(own))

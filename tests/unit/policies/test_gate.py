"""The gate: what begins an operation and each of its effects, and what does not."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text
from temporalio.testing import ActivityEnvironment

from activities.authorizing import STEP, Gate
from activities.policies import Policies
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
from tests.unit.policies.people import ANNA, fido2_signer, policy, request
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
        environment.info = replace(environment.info, workflow_id=workflow_id, workflow_run_id=run)
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
        gate = Gate(policies, records, journal, "test", verify, lambda: sent.get("now"))
        return House(gate, journal, engine, sent)

    yield built
    engine.dispose()


def signed(given: CertificateRenewalInput = WWW, signer: Signer = ANNA, **changes: Any) -> SignedRequest:
    facing = Facing("test", "default", Act.START, KIND, f"certificate-renewal/{given.certificate}", "")
    facing = facing._replace(input_sha256=input_digest(given))
    return request(signer, facing=facing).model_copy(update=changes)


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

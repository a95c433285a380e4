"""The installed policy is believed link by link from the settings' digest, and from nothing else."""

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.policies import Policies
from clients.identities.signing_keys import verify
from clients.policies.files import policy_of
from clients.signers import Signer
from rules.policies import statement
from schemas.errors import NotAuthorized, PolicyRefused
from schemas.evidence import Entry, Event, Kind
from schemas.policies import Policy, Signature
from store.policies import Installed
from store.sql.engine import connect
from store.sql.migrations import migrate
from store.sql.policies import SqlPolicies
from tests.unit.policies.people import ADMIN, ANNA, SECOND, policy


def written(some: Policy) -> bytes:
    return yaml.safe_dump(some.model_dump(mode="json")).encode()


def digest(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()


def signed(document: bytes, *signers: tuple[str, Signer]) -> tuple[Signature, ...]:
    message = statement(document)
    return tuple(
        Signature(key_id=name, signature=base64.b64encode(signer.sign(message)).decode())
        for name, signer in signers
    )


FIRST = written(policy(admins_needed=2))
SECOND_VERSION = policy(version=2, previous_sha256=digest(FIRST))
BOTH = (("root-1", ADMIN), ("deputy-1", SECOND))


@pytest.fixture
def records(tmp_path: Path) -> Any:
    engine = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(engine)
    yield SqlPolicies(engine)
    engine.dispose()


def policies(records: SqlPolicies, root: str | None = digest(FIRST)) -> Policies:
    return Policies(records, root, "test", policy_of, verify)


def put(records: SqlPolicies, version: int, document: bytes, signatures: tuple[Signature, ...] = ()) -> None:
    row = Installed(version=version, sha256=digest(document), document=document, signatures=signatures)
    entry = Entry(
        operation=f"policy/{version}",
        step="applied",
        kind=Kind.NOTE,
        what=Event.POLICY_APPLIED,
        subject="policy",
        who="root",
        at=datetime.now(UTC),
    )
    records.install(row, entry)


def test_no_root_is_an_installation_without_a_policy_whatever_the_records_hold(records: SqlPolicies) -> None:
    put(records, 1, FIRST)
    assert policies(records, None).current() is None


def test_a_root_without_its_version_is_shut(records: SqlPolicies) -> None:
    with pytest.raises(NotAuthorized, match="hold none"):
        policies(records).current()


def test_the_first_version_holds_by_its_digest_and_the_next_by_its_signatures(records: SqlPolicies) -> None:
    both = policies(records)
    put(records, 1, FIRST)
    held = both.current()
    assert held is not None
    assert (held.policy.version, held.sha256) == (1, digest(FIRST))
    second = written(SECOND_VERSION)
    put(records, 2, second, signed(second, *BOTH))
    newest = both.current()
    assert newest is not None
    assert newest.policy.version == 2
    assert both.version(1) == held
    with pytest.raises(NotAuthorized, match="Version 3"):
        both.version(3)


def test_another_first_version_is_not_believed(records: SqlPolicies) -> None:
    put(records, 1, FIRST + b"\n")
    with pytest.raises(NotAuthorized, match="root_sha256"):
        policies(records).current()


@pytest.mark.parametrize(
    "signers",
    [
        (),
        (("root-1", ADMIN),),
        (("root-1", ADMIN), ("root-1", ADMIN)),
        (("root-1", ADMIN), ("anna-1", ANNA)),
        (("root-1", ADMIN), ("deputy-1", ANNA)),
    ],
    ids=["none", "one of two", "one twice", "one is no admin", "one is forged"],
)
def test_a_version_that_too_few_admins_have_signed_shuts_everything(
    records: SqlPolicies, signers: tuple[tuple[str, Signer], ...]
) -> None:
    second = written(SECOND_VERSION)
    put(records, 1, FIRST)
    with pytest.raises(PolicyRefused, match="admins have signed"):
        policies(records).judged(second, signed(second, *signers))
    put(records, 2, second, signed(second, *signers))
    with pytest.raises(NotAuthorized, match="admins have signed"):
        policies(records).current()


def test_signatures_over_other_bytes_do_not_count(records: SqlPolicies) -> None:
    put(records, 1, FIRST)
    second = written(SECOND_VERSION)
    assert policies(records).judged(second, signed(second, *BOTH)).version == 2
    with pytest.raises(PolicyRefused, match="0 of 2"):
        policies(records).judged(second + b"\n", signed(second, *BOTH))


def test_a_policy_of_another_installation_is_refused(records: SqlPolicies) -> None:
    other = written(policy(installation="other"))
    with pytest.raises(PolicyRefused, match="installation"):
        policies(records, digest(other)).judged(other, ())

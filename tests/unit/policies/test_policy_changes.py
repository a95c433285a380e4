"""What a version changes is said, whatever it is: each value of a policy that has everything is changed, one by one."""

import copy
from collections.abc import Iterator
from typing import Any, Final

import pytest
from pydantic import ValidationError

from rules.policy_changes import changes
from rules.requests import fingerprint_of
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from tests.unit.policies.people import ANNA, policy
from tests.unit.policies.test_hardware import attested

PUBLIC = ANNA.key.public_key
RULE: Final = {
    "capability": "certificates",
    "workflow_types": ["CertificateRenewal"],
    "scopes": ["www"],
    "needed": 2,
    "groups": [
        {"name": "first", "approvers": ["anna", "ben"]},
        {"name": "second", "approvers": ["cleo", "dora"]},
    ],
    "deputies": {"anna": "emil"},
    "expires_s": 7200.0,
    "escalate_after_s": 1800.0,
}
FULL: Final[dict[str, Any]] = {
    "installation": "test",
    "version": 2,
    "previous_sha256": "a" * 64,
    "admins_needed": 2,
    "hardware": {"software_tokens": False, "attestation_roots": ["AAAA", "BBBB"]},
    "principals": {
        "anna": {
            "oidc": [{"issuer": "https://id.example.com", "subject": "4711"}],
            "client_certificates": ["b" * 64],
            "api_keys": ["c" * 64],
            "signing_keys": [{"id": "anna-1", "kind": "file", "public_key": PUBLIC}],
        },
        "ben": {
            "signing_keys": [
                {
                    "id": "ben-1",
                    "kind": "pkcs11",
                    "public_key": PUBLIC,
                    "custody": {
                        "manufacturer": "Example",
                        "model": "HSM",
                        "serial": "1",
                        "hardware_slot": True,
                        "local": True,
                        "always_sensitive": True,
                        "never_extractable": True,
                    },
                }
            ]
        },
        "cleo": {"signing_keys": [attested().model_dump(mode="json")]},
        "service:api": {"vouches_for": ["oidc"]},
    },
    "grants": [
        {"role": "operator", "principals": ["anna", "ben"], "capability": "certificates", "scope": "www*"}
    ],
    "approvals": [RULE, {**RULE, "scopes": ["*"]}],
    "limits": [
        {
            "kind": "rate",
            "capability": "certificates",
            "workflow_types": ["CertificateRenewal"],
            "scope": "pay-*",
            "per": "subject",
            "most": 3,
            "within_s": 3600.0,
        },
        {"kind": "simultaneous", "capability": "certificates", "scope": "*", "most": 25},
    ],
    "windows": [
        {
            "capability": "certificates",
            "workflow_types": ["CertificateRenewal"],
            "scope": "pay-*",
            "days": ["tuesday", "friday"],
            "begin": "08:00",
            "end": "12:00",
            "time_zone": "Europe/Berlin",
        }
    ],
}
NOT_DECIDING: Final = {("installation",), ("version",), ("previous_sha256",)}
"""What holds a version in its chain: `rules.policies.link` judges that."""

Path = tuple[str | int, ...]
OTHERS: Final = (
    *("https://other.example.com", "f" * 64, "DDDD", "other", "viewer", "fido2", "keys", "KeyRotation"),
    *("scope", "monday", "api-key", "09:30", "Europe/Paris", "x"),
)


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every value in it, and everything that holds values."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def changed(at: Path) -> Iterator[Policy]:
    """Every policy that can be made of the full one by another value there, or by none."""
    for other in candidates(at):
        document = copy.deepcopy(FULL)
        holder: Any = document
        for key in at[:-1]:
            holder = holder[key]
        if other is None:
            del holder[at[-1]]
        else:
            holder[at[-1]] = other
        try:
            yield Policy.model_validate(document)
        except ValidationError:
            continue


def candidates(at: Path) -> Iterator[Any]:
    value: Any = FULL
    for key in at:
        value = value[key]
    yield None
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield from (other for other in OTHERS if other != value)


PLACES: Final = [at for at in places(FULL) if at not in NOT_DECIDING]
BASE: Final = Policy.model_validate(FULL)


@pytest.mark.parametrize("at", PLACES, ids=lambda at: ".".join(map(str, at)))
def test_whatever_changes_is_said(at: Path) -> None:
    for other in changed(at):
        if other != BASE:
            assert changes(BASE, other), f"nothing is said of {at}"
            assert changes(other, BASE), f"nothing is said of {at}, the other way"


def test_almost_every_value_could_be_changed() -> None:
    """So that the test above shows something: what can't be is held by the shape (only a fido2 key has a party)."""
    untouched = {at for at in PLACES if all(other == BASE for other in changed(at))}
    leaves = {at for at in untouched if not any(other[: len(at)] == at and other != at for other in PLACES)}
    held = {at for at in leaves if at[-1] in {"kind", "custody", "within_s"} or at[-2:] == ("approvers", 0)}
    assert leaves == held


def test_nothing_is_said_where_nothing_changes_but_the_order() -> None:
    assert changes(BASE, BASE) == []
    other = copy.deepcopy(FULL)
    other["grants"][0]["principals"].reverse()
    other["windows"][0]["days"].reverse()
    other["approvals"][0]["groups"][0]["approvers"].reverse()
    assert changes(BASE, Policy.model_validate(other)) == []


def test_the_order_of_approval_rules_is_said() -> None:
    other = BASE.model_copy(update={"approvals": BASE.approvals[::-1]})
    assert any("the order is another" in told for told in changes(BASE, other))


def test_a_diff_says_who_gains_and_who_loses() -> None:
    old = policy(Grant(role=Role.OPERATOR, principals=("anna",), capability="certificates", scope="www*"))
    people = {name: entry for name, entry in old.principals.items() if name != "ben"}
    people["anna"] = PrincipalEntry()
    new = policy(
        Grant(role=Role.VIEWER, principals=("carla",)),
        version=2,
        previous_sha256="a" * 64,
        principals={**people, "carla": PrincipalEntry()},
        admins_needed=2,
    )
    assert set(changes(old, new)) == {
        "carla is new.",
        "ben is gone.",
        "carla gains the role viewer for every capability, *.",
        "anna loses the role operator for certificates, www*.",
        f"anna no longer signs by the key anna-1: {fingerprint_of(ANNA.key)}, in a file.",
        "The next version needs the signatures of 2 admins.",
    }


def test_a_key_that_was_swapped_under_its_name_is_seen() -> None:
    base = policy()
    mine, theirs = base.principals["root"].signing_keys[0], base.principals["deputy"].signing_keys[0]
    swapped = PrincipalEntry(signing_keys=(theirs.model_copy(update={"id": mine.id}),))
    (told,) = changes(base, policy(principals={**base.principals, "root": swapped}))
    assert "root: ANOTHER KEY stands under the name root-1" in told
    assert fingerprint_of(mine) in told
    assert fingerprint_of(theirs) in told


def test_the_first_version_says_everything() -> None:
    told = changes(None, BASE)
    for words in ("first version", "signatures of 2 admins", "anna gains the role operator", "ben is asked"):
        assert any(words in line for line in told), words

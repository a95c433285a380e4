"""Approvers with keys of their own, the policy that names them, and votes that they really sign."""

import base64
from datetime import UTC, datetime
from typing import Final

from clients.signers import Signer
from clients.signers.file import FileSigner
from rules.approvals import statement
from schemas.approvals import Verdict, Vote
from schemas.policies import ApprovalRule, Grant, Policy, PrincipalEntry, Role
from tests.servers.fido2_key import SoftwareKey
from tests.unit.policies.people import fido2_signer, pem
from tests.unit.policies.people import policy as policy_with

PEMS: Final = {name: pem() for name in ("ben", "cleo", "olga", "sam")}
"""Ed25519 keys in PKCS#8; Anna has a FIDO2 key."""


class InMemory:
    """A source of secrets that holds one."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def resolve(self, reference: str) -> bytes:  # noqa: ARG002 - the port's
        return self._value


ANNAS_KEY: Final = SoftwareKey()
SIGNERS: Final[dict[str, Signer]] = {
    "anna": fido2_signer("anna", ANNAS_KEY),
    **{name: FileSigner(f"{name}-1", "env:KEY", InMemory(key)) for name, key in PEMS.items()},
}


def policy(*asks: ApprovalRule) -> Policy:
    """Anna, Ben, Cleo and Olga approve, Olga starts runs; Sam has a key, and no role."""
    base = policy_with()
    people = {name: PrincipalEntry(signing_keys=(signer.key,)) for name, signer in SIGNERS.items()}
    approvers = Grant(role=Role.APPROVER, principals=("anna", "ben", "cleo", "olga"))
    operator = Grant(role=Role.OPERATOR, principals=("olga",))
    return base.model_copy(
        update={
            "principals": {**base.principals, **people},
            "grants": (*base.grants, approvers, operator),
            "approvals": asks,
        }
    )


def vote(
    request: str, name: str, verdict: Verdict = Verdict.APPROVE, by: str = "", *, at: datetime | None = None
) -> Vote:
    """Signed by `by`, who is `name` themselves unless the test says otherwise."""
    signer = SIGNERS[by or name]
    unsigned = Vote(
        request=request,
        verdict=verdict,
        approver=name,
        key_id=signer.key.id,
        at=at or datetime.now(UTC),
        signature="AA==",
    )
    signature = base64.b64encode(signer.sign(statement(unsigned))).decode()
    return unsigned.model_copy(update={"signature": signature})

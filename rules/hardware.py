"""Which keys count as held in hardware: for the role admin, and for who changes the policy.

- A key in a file never counts, whatever is said of it.
- A PKCS#11 key counts if its token said at the enrolment that it was made there and could never be read or taken out,
  and that it is hardware; a software token (SoftHSM) counts only where the signed policy says so.
- A FIDO2 key counts by its kind: what it signs is good only with its owner's touch and verification
  (`clients.signers.assertions`). Where the policy names attestation roots, it needs its maker's attestation besides.
- An attestation that stands in a policy was verified when the policy was read (`clients.policies.files`).
"""

from schemas.policies import Policy
from schemas.signing_keys import Custody, SigningKey


def in_hardware(policy: Policy, key: SigningKey) -> bool:
    return not why_not(policy, key)


def why_not(policy: Policy, key: SigningKey) -> str:
    """Why the key does not count, in words; "" if it does."""
    if key.kind == "fido2":
        missing = policy.hardware.attestation_roots and key.attestation is None
        return "no attestation of its maker was enrolled with it" if missing else ""
    if key.custody is None:
        return "it lies in a file"
    return _kept_badly(key.custody, software_too=policy.hardware.software_tokens)


def _kept_badly(custody: Custody, *, software_too: bool) -> str:
    if not custody.local:
        return "it was not made in its token"
    if not (custody.always_sensitive and custody.never_extractable):
        return "its token could have let it out"
    if not (custody.hardware_slot or software_too):
        return f"its token is software ({custody.model})"
    return ""

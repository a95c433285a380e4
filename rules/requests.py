"""When a signed request is good: for exactly this act, on exactly these bytes, now, by a key that may speak for them.

- The signature is over a prefix of our own and the canonical JSON of everything else in the request, so that it is
  no signature over anything but a request.
- A request fits one installation, namespace, act, workflow type, workflow ID and input, and no other; an update's
  request also fits one run only.
- It is good from a minute before its issue (clocks differ) until it expires, and for a day at most.
- A key speaks for its owner, or, where the policy lets its owner vouch, for people who have shown themselves in one
  of the ways named there: so only for those to whom the policy gives such a way. Nobody is vouched into hardware: only
  one's own key in hardware counts as that.
"""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from rules import canonical
from rules.hardware import in_hardware
from schemas.contract import Contract
from schemas.policies import Policy
from schemas.principals import Act, Principal, Shown, SignedRequest
from schemas.signing_keys import SigningKey

PREFIX: Final = b"redoubt signed request 1\n"
SKEW: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(days=1)
SERVICE: Final = "service:"
_FINGERPRINT: Final = 16


class Facing(NamedTuple):
    """What is really asked for, as the one who judges sees it."""

    installation: str
    namespace: str
    act: Act
    workflow_type: str
    workflow_id: str
    input_sha256: str
    run_id: str = ""


class Spoken(NamedTuple):
    """By which key a request was signed, and whom that makes the requester if the signature is good."""

    key: SigningKey
    principal: Principal


def statement(request: SignedRequest) -> bytes:
    """The bytes that the signature is over."""
    return PREFIX + canonical.encode(request.model_dump(mode="json", exclude={"signature"}))


def input_digest(given: Contract) -> str:
    """Of the validated input with its defaults, so that it is the same however it was typed."""
    return canonical.digest(given.model_dump(mode="json"))


def mismatch(request: SignedRequest, facing: Facing, at: datetime) -> str | None:
    """Why the request is not one for this, now; None if it is. `at`: when it was presented."""
    for name, wanted in facing._asdict().items():
        if not hmac.compare_digest(str(getattr(request, name)).encode(), str(wanted).encode()):
            return f"the signed request is for another {name.replace('_', ' ')}"
    if request.expires - request.issued_at > LONGEST:
        return "the signed request is good for longer than a day"
    if at < request.issued_at - SKEW:
        return "the signed request is not good yet"
    if at >= request.expires:
        return "the signed request has expired"
    return None


def spoken(policy: Policy, request: SignedRequest) -> Spoken | str:
    """Whose key it names, and whether that may speak for who is claimed; a text says why not."""
    found = key_of(policy, request.key_id)
    if found is None:
        return f"the policy knows no key {request.key_id}"
    owner, key = found
    claimed = request.principal
    if claimed.name == owner:
        own = Shown.SERVICE if owner.startswith(SERVICE) else Shown.SIGNING_KEY
        if claimed.shown is not own:
            return f"who signs with a key of their own is shown by {own}, and not by {claimed.shown}"
        return Spoken(key, Principal(name=owner, shown=own, hardware=in_hardware(policy, key)))
    return _why_not_vouched(policy, owner, claimed) or Spoken(
        key, claimed.model_copy(update={"hardware": False})
    )


def _why_not_vouched(policy: Policy, owner: str, claimed: Principal) -> str:
    if claimed.shown not in policy.principals[owner].vouches_for:
        return f"{owner} may not vouch for who was shown by {claimed.shown}"
    if claimed.name not in policy.principals:
        return f"the policy knows nobody named {claimed.name}"
    if not policy.principals[claimed.name].ways(claimed.shown):
        return f"the policy gives {claimed.name} nothing to be shown by as {claimed.shown}"
    return ""


def key_of(policy: Policy, key_id: str) -> tuple[str, SigningKey] | None:
    """The owner and the key of this ID, which is the policy's name for it or its fingerprint."""
    for owner, entry in policy.principals.items():
        for key in entry.signing_keys:
            if key_id in {key.id, fingerprint_of(key)}:
                return owner, key
    return None


def fingerprint(public_key: bytes) -> str:
    """What a signer calls its key if it does not know the policy's name for it; `public_key` is SPKI in DER."""
    return hashlib.sha256(public_key).hexdigest()[:_FINGERPRINT]


def fingerprint_of(key: SigningKey) -> str:
    return fingerprint(base64.b64decode(key.public_key))

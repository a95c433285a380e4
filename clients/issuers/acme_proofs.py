"""An authorization's challenge, as the CA sent it, becomes a proof that a solver shows.

The library knows HTTP-01 and DNS-01 only; a challenge of any other kind reaches us as it came. So we take the fields
of each from its JSON, and answer with the empty object that RFC 8555 (7.5.1) and its successors ask for.
"""

from dataclasses import dataclass
from typing import Any

from acme import messages
from josepy.b64 import b64encode
from josepy.interfaces import JSONDeSerializable
from josepy.jwk import JWK

from clients.challenges import Proof
from schemas.errors import CaRefused, OrderInvalid

_PERSISTENT = "dns-persist-01"


@dataclass(frozen=True)
class Asked:
    """One authorization, its challenge of our kind, and the proof that it asks for."""

    url: str
    status: messages.Status
    challenge: messages.ChallengeBody
    proof: Proof


def asked(url: str, body: messages.Authorization, kind: str, key: JWK, account: str) -> Asked:
    """Raises `OrderInvalid` if the CA offers no challenge of our kind."""
    offers = {one.chall.to_partial_json().get("type"): one for one in body.challenges}
    challenge = offers.get(kind)
    if challenge is None:
        offered = ", ".join(sorted(str(one) for one in offers if one)) or "nothing"
        raise OrderInvalid(f"The CA offers no {kind} for {body.identifier.value}; it offers {offered}.")
    return Asked(url, body.status, challenge, _proof(body, challenge.chall.to_partial_json(), key, account))


def _proof(body: messages.Authorization, fields: dict[str, Any], key: JWK, account: str) -> Proof:
    wildcard = bool(body.wildcard)
    if fields["type"] == _PERSISTENT:
        domains = fields.get("issuer-domain-names") or ()
        if not all(isinstance(one, str) for one in domains):
            raise CaRefused("The CA's names for itself are not names.")
        return Proof(body.identifier.value, wildcard=wildcard, account=account, issuer_domains=tuple(domains))
    token = str(fields.get("token", ""))
    authorization = f"{token}.{b64encode(key.thumbprint()).decode('ascii')}"
    return Proof(body.identifier.value, token, authorization, wildcard)


class Ready(JSONDeSerializable):
    """The answer to a challenge: `{}`."""

    def to_partial_json(self) -> dict[str, object]:
        return {}

    @classmethod
    def from_json(cls, jobj: dict[str, object]) -> "Ready":  # noqa: ARG003 - nothing is in it
        return cls()

"""Bearer tokens of OIDC issuers: signed JWTs, each judged by the keys of the issuer that it names.

- The algorithm is one of the issuer's in the settings, and the one of the key under the token's key ID: a token can
  choose neither. All are asymmetric.
- `iss`, `sub`, `aud`, `exp` and `iat` must be there; `exp`, `nbf` and `iat` are judged with 30 seconds of leeway.
- A token of more than 16 KiB is not looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from clients.identities import Presented
from clients.identities.api_keys import PREFIX
from clients.identities.key_sets import KeySet
from schemas.errors import NotAuthenticated
from schemas.policies import OidcIdentity, Policy
from schemas.principals import Principal, Shown

LARGEST: Final = 16 * 1024
LEEWAY_S: Final = 30
_CLAIMS: Final = ("iss", "sub", "aud", "exp", "iat")
_WHY: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "has expired",
    jwt.ImmatureSignatureError: "is not good yet",
    jwt.InvalidAudienceError: "is for another audience",
    jwt.InvalidIssuerError: "is of an issuer that is not taken here",
    jwt.InvalidAlgorithmError: "is signed in a way that is not taken here",
    jwt.MissingRequiredClaimError: f"lacks one of the claims {', '.join(_CLAIMS)}",
    jwt.InvalidSignatureError: "has a signature that is not good",
}


@dataclass(frozen=True)
class Issuer:
    issuer: str
    audience: str
    algorithms: Sequence[str]
    keys: KeySet


class OidcTokens:
    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = {one.issuer: one for one in issuers}

    async def principal(self, policy: Policy, presented: Presented) -> Principal | None:
        if presented.bearer is None or presented.bearer.startswith(PREFIX):
            return None
        if len(presented.bearer) > LARGEST:
            raise NotAuthenticated(f"The token is larger than {LARGEST // 1024} KiB.")
        try:
            claims = await self._claims(presented.bearer)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as refused:
            # PyJWT's own words quote what they were given.
            why = next((words for kind, words in _WHY.items() if isinstance(refused, kind)), "can't be read")
            raise NotAuthenticated(f"The token {why}.") from None
        identity = (claims["iss"], claims["sub"])
        for name, entry in policy.principals.items():
            if any(identity == _pair(one) for one in entry.oidc):
                return Principal(name=name, shown=Shown.OIDC)
        raise NotAuthenticated("The token is good, and the policy names nobody of this issuer and subject.")

    async def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        # Only to find whose keys to judge it by: verified below like everything else.
        said = jwt.decode(token, options={"verify_signature": False}).get("iss")
        issuer = self._issuers.get(said) if isinstance(said, str) else None
        if issuer is None:
            raise jwt.InvalidIssuerError
        if header.get("alg") not in issuer.algorithms:
            raise jwt.InvalidAlgorithmError
        key = await issuer.keys.key(header["kid"]) if isinstance(header.get("kid"), str) else None
        if key is None:
            raise NotAuthenticated("The token names a key that its issuer does not have.")
        return jwt.decode(
            token,
            key,
            algorithms=list(issuer.algorithms),
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY_S,
            options={"require": list(_CLAIMS), "enforce_minimum_key_length": True},
        )


def _pair(identity: OidcIdentity) -> tuple[str, str]:
    return identity.issuer, identity.subject

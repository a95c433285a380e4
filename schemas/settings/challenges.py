"""How control of a name is shown to a CA. `kind` is the challenge's type as the CA names it.

Only a challenge in the DNS proves a wildcard, and only one over the network proves an IP address (RFC 8738).
"""

from typing import Annotated, Final, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from schemas.contract import Contract
from schemas.references import SecretRef
from schemas.settings.names import Path, Port, is_address

IN_DNS: Final = frozenset({"dns-01", "dns-persist-01"})
"""The kinds that prove a wildcard, and never an IP address."""

_HOST = r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9.])?$"
_DOMAIN = r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9.])?$"


class WebrootChallenge(Contract):
    kind: Literal["http-01"]
    webroot: Path = Field(description="Folder that a web server serves on port 80 of every name.")


class TlsAlpnChallenge(Contract):
    """Port 443 of every name must lead to this address for the protocol acme-tls/1."""

    kind: Literal["tls-alpn-01"]
    host: str = Field(default="0.0.0.0", pattern=_HOST, description="Address that the responder listens on.")  # noqa: S104 - a CA asks from outside
    port: Port = Field(default=443, description="Port that the responder listens on, while a CA looks.")


class DnsUpdate(Contract):
    """RFC 2136, signed with TSIG (RFC 8945)."""

    server: str = Field(pattern=_HOST, description="The zone's primary name server: a name or an address.")
    port: Port = Field(default=53, description="Its port.")
    key_name: str = Field(pattern=_DOMAIN, description="Name of the TSIG key, as the name server knows it.")
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = Field(
        default="hmac-sha256", description="Algorithm of the TSIG key."
    )
    secret: SecretRef = Field(description="The TSIG key: base64, as tsig-keygen prints it.")
    zone: str | None = Field(
        default=None, pattern=_DOMAIN, description="The zone that is updated; None: found by its SOA record."
    )
    ttl_s: PositiveInt = Field(default=60, le=86_400, description="How long others may keep the record.")


class Visibility(Contract):
    """When a record counts as visible: once every authoritative name server of its zone answers with it."""

    port: Port = Field(default=53, description="Port of the authoritative name servers.")
    timeout_s: PositiveFloat = Field(
        default=60.0, description="How long it may take until all of them answer with the record."
    )


class Dns01Challenge(Contract):
    kind: Literal["dns-01"]
    update: DnsUpdate = Field(description="How the record is written and taken away.")
    visibility: Visibility = Field(default=Visibility(), description="When the CA is asked to look.")


class DnsPersistChallenge(Contract):
    """One lasting record a name, bound to our account at the CA."""

    kind: Literal["dns-persist-01"]
    update: DnsUpdate | None = Field(
        default=None, description="How the record is written, once; None: you put it there yourself."
    )
    visibility: Visibility = Field(default=Visibility(), description="When the CA is asked to look.")


ChallengeSettings = Annotated[
    WebrootChallenge | TlsAlpnChallenge | Dns01Challenge | DnsPersistChallenge, Field(discriminator="kind")
]


def unprovable(names: tuple[str, ...], kind: str) -> str | None:
    """Why a challenge of this kind can't prove all of these names, in words; None if it can."""
    wildcards = [name for name in names if name.startswith("*.")]
    if wildcards and kind not in IN_DNS:
        return f"holds {wildcards[0]}, and a wildcard is proved in the DNS alone, not by {kind}"
    addresses = [name for name in names if is_address(name)]
    if addresses and kind in IN_DNS:
        return f"holds {addresses[0]}, and an IP address is proved by http-01 or tls-alpn-01, not by {kind}"
    return None

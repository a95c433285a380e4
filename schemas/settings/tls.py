"""TLS of our own listeners: the API, the codec server, a worker's health and metrics.

Versions, suites and groups are no settings: there is one policy for every listener (`clients.tls.policy`).
"""

import ipaddress
from typing import Literal

from pydantic import Field, model_validator

from schemas.contract import Contract
from schemas.settings.names import Path


class ServedCertificate(Contract):
    """A certificate that a listener shows to the names in it."""

    directory: Path = Field(
        description="Folder of a `files` target; what its `current` names is served, and followed when it changes."
    )


class ListenerTls(Contract):
    certificates: tuple[ServedCertificate, ...] = Field(
        min_length=1,
        max_length=100,
        description="Chosen by the name that a client asks for; the first is also for clients that name nothing.",
    )
    client_certificates: Literal["none", "optional", "required"] = Field(
        default="none", description="Whether a client is asked for a certificate, and must show one."
    )
    client_ca_file: Path | None = Field(
        default=None, description="PEM roots that client certificates chain to; a change is followed."
    )
    client_crl_file: Path | None = Field(
        default=None,
        description="PEM CRLs of those CAs; with it a client certificate is refused that is revoked, or whose CA "
        "has no CRL in force there. A change is followed.",
    )

    @model_validator(mode="after")
    def _clients_can_be_verified(self) -> "ListenerTls":
        if self.client_certificates != "none" and self.client_ca_file is None:
            raise ValueError("client_certificates needs client_ca_file: roots to verify them against")
        if self.client_certificates == "none" and (self.client_ca_file or self.client_crl_file):
            raise ValueError(
                "client_ca_file and client_crl_file are for client_certificates: optional or required"
            )
        if len({one.directory for one in self.certificates}) != len(self.certificates):
            raise ValueError("a folder is named twice in certificates")
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on this host; a name other than localhost counts as open."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_plain(what: str, host: str, tls: ListenerTls | None) -> None:
    """Raises `ValueError` where a listener that others can reach would speak without TLS."""
    if tls is None and not is_loopback(host):
        raise ValueError(f"{what} on a host that is not loopback needs `tls`: else it would speak in plain")

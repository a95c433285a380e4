"""What every target of the inventory holds now, read where it lies and not remembered."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.certificates import CertificateFacts
from schemas.errors import RedoubtError
from schemas.settings.certificates import CertificateSettings
from schemas.settings.targets import TargetSettings
from workers.wiring import Wiring


@dataclass(frozen=True)
class Held:
    certificate: str
    settings: CertificateSettings
    target: str
    facts: CertificateFacts | None
    error: str
    """Why it can't be told; empty if it could."""


def inventory(wiring: Wiring) -> Iterator[Held]:
    """A line a target, certificate by certificate."""
    for name, given in wiring.settings.certificates.items():
        for target in given.targets:
            yield Held(name, given, target.name, *held(wiring, target))


def held(wiring: Wiring, given: TargetSettings) -> tuple[CertificateFacts | None, str]:
    """What the target has in use, or why that can't be told."""
    from clients.x509 import X509Reader  # noqa: PLC0415  # X.509 loads where a certificate is read

    try:
        target = wiring.target(given)
        version = target.current()
        chain = target.read(version) if version else None
        return (X509Reader().read(chain) if chain else None), ""
    except RedoubtError as error:
        return None, error.in_full

"""What every target of the inventory holds now, read where it lies, and what the records say of it."""

from dataclasses import dataclass
from typing import Any, Final

from activities.certificates.holding import held
from activities.looking import Looks
from schemas.certificates import CertificateFacts, SweepFinding
from schemas.errors import RedoubtError
from schemas.evidence import Event
from schemas.settings.certificates import CertificateSettings
from schemas.settings.targets import TargetSettings
from workers.wiring import Wiring

_LOOKED_BACK: Final = 1000
"""Entries of one certificate; a renewal writes some twenty."""
LOOKS: Final = Looks(all_s=600.0)
"""How the targets of all certificates are looked at: side by side, and so that people need not wait for ever."""


@dataclass(frozen=True)
class Held:
    certificate: str
    settings: CertificateSettings
    target: str
    facts: CertificateFacts | None
    error: str
    """Why it can't be told; empty if it could."""


def inventory(wiring: Wiring) -> list[Held]:
    """A line a target, certificate by certificate."""
    asked = {
        f"{name} on {target.name}": (name, given, target)
        for name, given in wiring.settings.certificates.items()
        for target in given.targets
    }
    answers = LOOKS.at(asked, lambda one: _held(wiring, one[2]))
    return [_line(name, given, target.name, answers[key]) for key, (name, given, target) in asked.items()]


def recorded(wiring: Wiring, certificate: str) -> list[dict[str, Any]]:
    """The newest entries about a certificate, oldest first. Raises what the records raise."""
    from store.sql.audit import entries  # noqa: PLC0415  # loads where the store is looked at

    return entries(wiring.engine(), subject=certificate, limit=_LOOKED_BACK)


def finding(known: list[dict[str, Any]]) -> SweepFinding | None:
    """What the last sweep that found something new has found of it; None if none has looked yet."""
    found = (one["facts"] for one in reversed(known) if one["what"] == Event.SWEEP_FOUND)
    newest = next(found, None)
    return None if newest is None else SweepFinding.model_validate(newest)


def _line(
    name: str, given: CertificateSettings, target: str, answer: CertificateFacts | RedoubtError | None
) -> Held:
    if isinstance(answer, RedoubtError):
        return Held(name, given, target, None, answer.in_full)
    return Held(name, given, target, answer, "")


def _held(wiring: Wiring, given: TargetSettings) -> CertificateFacts | None:
    from clients.x509 import X509Reader  # noqa: PLC0415  # X.509 loads where a certificate is read

    return held(wiring.target(given), X509Reader())

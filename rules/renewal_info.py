"""When a certificate is to be renewed, by what its CA suggests (RFC 9773) and by our own policy.

Invariants:
- The moment lies in the CA's window, and is picked once: the certificate's fingerprint picks it, so every process
  and every sweep picks the same without storing it, and many certificates spread evenly over one window.
- A moment in the past, so also a window in the past, means now. The CA may so bring a renewal forward as far as it
  likes: that is how it says that a certificate will be revoked.
- A window that is still open, began while the certificate was new and is at least half as wide as its lifetime was made
  for longer lifetimes (two days, for one that lives an hour): its end counts, or our own moment if that comes first.
- The CA may put a renewal off, but by no more than half of the time that our own policy leaves before the end.
- Without a window our own policy counts, and the words say why.
"""

from dataclasses import dataclass
from datetime import datetime

from rules.certificates import due_at
from schemas.certificates import CertificateFacts
from schemas.renewal_info import RenewalWindow
from schemas.settings.certificates import RenewalPolicy

_DIGITS = 16
_YOUNG, _WIDE = 0.1, 0.5
"""Of its lifetime."""


@dataclass(frozen=True)
class Advice:
    due: bool
    moment: datetime
    """From when on it is due."""
    why: str


def moment_in(window: RenewalWindow, fingerprint: str) -> datetime:
    """The moment of this certificate; `fingerprint` is its SHA-256 in hexadecimal."""
    share = int(fingerprint[:_DIGITS], 16) / (1 << 4 * _DIGITS)
    return window.start + (window.end - window.start) * share


def advised(
    held: CertificateFacts,
    policy: RenewalPolicy,
    window: RenewalWindow | None,
    now: datetime,
    unknown: str = "the CA suggests no time",
) -> Advice:
    """`unknown` says, in words, why there is no window: the CA offers none, or could not be asked."""
    own = due_at(held.not_before, held.not_after, policy)
    if window is None:
        return Advice(now >= own, own, f"{unknown}, so by our own policy from {_day(own)}")
    latest, lifetime = own + (held.not_after - own) / 2, held.not_after - held.not_before
    moment = moment_in(window, held.fingerprint)
    wide = window.end - window.start >= lifetime * _WIDE
    if wide and window.start < held.not_before + lifetime * _YOUNG and window.end > now:
        moment = min(own, window.end)
    if moment > latest:
        return Advice(
            now >= latest, latest, f"from {_day(latest)}: the CA's {_day(moment)} is too near to its end"
        )
    told = f" ({window.explanation_url})" if window.explanation_url else ""
    return Advice(now >= moment, moment, f"from {_day(moment)}, as the CA suggests{told}")


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")

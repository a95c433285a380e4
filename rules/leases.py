"""When a token that ends is renewed, and when renewing it helps no more.

Invariants: it is renewed before it ends, and never at once; a lease that has less than half of the first one's life
left has come to its maximum, so the next step is to log in again.
"""

RENEW_AT = 2 / 3
_SOONEST_S = 1.0
_FOREVER_S = 3600.0


def renew_after(lease_s: float) -> float:
    """Seconds from now; a token that never ends (0) is looked at every hour."""
    if lease_s <= 0:
        return _FOREVER_S
    return max(min(_SOONEST_S, lease_s / 2), lease_s * RENEW_AT)


def at_its_maximum(first_lease_s: float, lease_s: float) -> bool:
    return 0 < lease_s < first_lease_s / 2

"""How the certificates of an issuer that is distrusted are replaced: most exposed first, in waves, and not blindly on.

Invariants:
- A wildcard comes before other names, then more names, more targets, and what is valid for longer.
- The waves are those of `rules.waves`: each in exactly one, in this order, none larger than its size.
- Once `stop_after` renewals have failed no further wave begins. Those that failed at earlier sweeps, and are held off
  since or still go back, count too: so a sweep that comes an hour later does not begin anew what was stopped.
- Everything else that is due is in no wave, and is held up by none.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from rules.waves import waves
from schemas.certificates import SweepDecision
from schemas.settings.certificates import CertificateSettings, ReplacementPolicy

_NEVER = datetime.max.replace(tzinfo=UTC)


class Planned(NamedTuple):
    due: tuple[SweepDecision, ...]
    """Those of a distrusted issuer last, wave by wave."""
    halted: tuple[SweepDecision, ...]


def in_waves(
    due: Sequence[SweepDecision],
    inventory: Mapping[str, CertificateSettings],
    policy: ReplacementPolicy,
    failed: int,
) -> Planned:
    """`failed`: how many renewals have failed lately."""
    others = tuple(one for one in due if not one.distrusted)
    doomed = sorted((one for one in due if one.distrusted), key=lambda one: exposure(one, inventory))
    if not may_begin(failed, policy.stop_after):
        return Planned(others, tuple(doomed))
    by_name = {one.certificate: one for one in doomed}
    cut = enumerate(waves(list(by_name), policy.waves), 1)
    numbered = (by_name[name].model_copy(update={"wave": number}) for number, wave in cut for name in wave)
    return Planned((*others, *numbered), ())


def may_begin(failed: int, stop_after: int) -> bool:
    """Whether another wave may."""
    return failed < stop_after


def exposure(
    one: SweepDecision, inventory: Mapping[str, CertificateSettings]
) -> tuple[bool, int, int, float, str]:
    """What sorts the most exposed first."""
    settings = inventory[one.certificate]
    wildcard = any(name.startswith("*.") for name in settings.names)
    valid_for = (one.not_after or _NEVER).timestamp()
    return (not wildcard, -len(settings.names), -len(settings.targets), -valid_for, one.certificate)

"""How an operation's targets are reached, also after the settings have them no more.

- The settings come first: what is mended there (a host that moved, a new key) counts for what is half-way, too.
- A target that they have no more is put back, and tidied up, by what they said of it when the operation was planned.
  That is kept in the operation's record, under our seal: whoever may write to the records can't have a command run.
- Nothing new is begun on a target, or for a certificate, that the settings do not name.
"""

from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter, ValidationError

from clients.seals import Seals
from rules.canonical import encode
from schemas.certificates import RecordedPlaces, RenewalPlan
from schemas.settings.certificates import CertificateSettings
from schemas.settings.targets import TargetSettings

_targets: TypeAdapter[TargetSettings] = TypeAdapter(TargetSettings)


class Places:
    def __init__(self, inventory: Mapping[str, CertificateSettings], seals: Seals) -> None:
        self._inventory = inventory
        self._seals = seals

    def recorded(self, certificate: str, settings: CertificateSettings) -> RecordedPlaces:
        """What an operation keeps of its targets: their settings, in which secrets are references."""
        targets = {one.name: _targets.dump_python(one, mode="json") for one in settings.targets}
        return RecordedPlaces(targets=targets, seal=self._seals.seal(_content(certificate, targets)))

    def named(self, certificate: str, target: str) -> TargetSettings | None:
        """By the settings; None if they have no such target of this certificate."""
        settings = self._inventory.get(certificate)
        return next((one for one in settings.targets if one.name == target), None) if settings else None

    def known(self, plan: RenewalPlan, target: str) -> TargetSettings | None:
        """By the settings, or else by the operation's record; None if neither says so."""
        named = self.named(plan.certificate, target)
        if named is not None or target not in plan.places.targets:
            return named
        targets, seal = plan.places.targets, plan.places.seal
        if not self._seals.genuine(_content(plan.certificate, targets), seal):
            return None
        try:
            return _targets.validate_python(targets[target])
        except ValidationError:
            return None  # an earlier version wrote it, in another shape

    def all_known(self, plan: RenewalPlan) -> dict[str, TargetSettings]:
        """The plan's targets that can still be reached."""
        found = {name: self.known(plan, name) for name in plan.targets}
        return {name: place for name, place in found.items() if place is not None}


def _content(certificate: str, targets: Mapping[str, JsonValue]) -> bytes:
    return encode({"certificate": certificate, "targets": dict(targets)})

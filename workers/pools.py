"""The worker pools, as a table: what each runs, and how its parts are built from the wiring.

A pool's name is its Temporal task queue and its capability. Modules are named, not imported: a process loads only the
pools that it runs.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import InvalidSettings
from schemas.settings import Settings
from workers import needs
from workers.wiring import Wiring

UNKNOWN_TYPES = "workflows.unknown:UnknownWorkflow"
"""Registered on every pool that runs workflows: it refuses the types that nobody has registered."""


@dataclass(frozen=True)
class Duty:
    """Work that a pool does without Temporal: `run` returns when the event is set, and raises when it can't go on."""

    name: str
    run: str
    """`module:function`, called with the wiring and a `threading.Event`."""


@dataclass(frozen=True)
class Pool:
    name: str
    does: str
    workflows: tuple[str, ...] = ()
    """`module:class`."""
    activities: tuple[tuple[str, Callable[[type, Wiring], object]], ...] = ()
    """`module:class`, and how its one instance is built."""
    duties: tuple[Duty, ...] = ()
    key_stores: Callable[[Settings], Sequence[str]] = lambda _settings: ()
    """Those without which the pool can do nothing: /readyz checks them, and a token among them fixes the slots."""
    secrets: Callable[[Settings], needs.Secrets] = lambda _settings: iter(())
    """What it uses beyond the secrets that every pool uses: checked before it starts."""

    @property
    def on_temporal(self) -> bool:
        return bool(self.workflows or self.activities)

    @property
    def workflow_types(self) -> tuple[str, ...]:
        return tuple(kind.name for kind in WORKFLOW_TYPES.values() if kind.capability == self.name)

    def load_workflows(self) -> list[type]:
        return [load(name) for name in (*self.workflows, UNKNOWN_TYPES)] if self.workflows else []

    def build_activities(self, wiring: Wiring) -> list[Callable[..., Any]]:
        return [
            activity
            for name, build in self.activities
            for activity in activities_of(build(load(name), wiring))
        ]


def load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def activities_of(instance: object) -> list[Callable[..., Any]]:
    """The methods that are marked with `@activity.defn`, in the order of their names."""
    methods = (getattr(instance, name) for name in dir(type(instance)) if not name.startswith("__"))
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


def _certificate_activities(kind: type, wiring: Wiring) -> object:
    return kind(wiring.certificate_surroundings())


def _steering_activities(kind: type, wiring: Wiring) -> object:
    return kind(wiring.authority().steering())


def _approving_activities(kind: type, wiring: Wiring) -> object:
    return kind(wiring.approval_gate(), wiring.journal())


POOLS: dict[str, Pool] = {
    pool.name: pool
    for pool in (
        Pool(
            "certificates",
            "Renews certificates and puts them on their targets.",
            workflows=(
                "workflows.certificates.renewal:CertificateRenewal",
                "workflows.certificates.sweep:CertificateSweep",
                "workflows.certificates.revocation:CertificateRevocation",
            ),
            activities=(
                ("activities.certificates.planning:PlanningActivities", _certificate_activities),
                ("activities.certificates.sweeping:SweepingActivities", _certificate_activities),
                ("activities.certificates.issuing:IssuingActivities", _certificate_activities),
                ("activities.certificates.switching:SwitchingActivities", _certificate_activities),
                ("activities.certificates.grace:GraceActivities", _certificate_activities),
                ("activities.certificates.retiring:RetiringActivities", _certificate_activities),
                ("activities.approving:ApprovingActivities", _approving_activities),
                ("activities.steering:SteeringActivities", _steering_activities),
                ("activities.certificates.revoking:RevokingActivities", _certificate_activities),
            ),
            key_stores=needs.certificate_key_stores,
            secrets=needs.certificate_secrets,
        ),
        Pool(
            "audit",
            "Moves recorded evidence into the signed log, and the spool into the records.",
            duties=(Duty("sequencer", "workers.sequencer:sequence"),),
            secrets=needs.audit_secrets,
        ),
    )
}


def named(names: Sequence[str], table: Mapping[str, Pool]) -> list[Pool]:
    unknown = [name for name in names if name not in table]
    if unknown or not names:
        what = f"There is no pool {unknown[0]!r}" if unknown else "Name at least one pool"
        raise InvalidSettings(f"{what}; there are: {', '.join(table)}.")
    return [table[name] for name in dict.fromkeys(names)]

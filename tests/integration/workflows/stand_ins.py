"""Stand-ins for the renewal's activities: they do nothing, fail as a test says, and write down what was asked."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from clients.breakers.breaker import Breaker
from schemas.certificates import (
    CertificateFacts,
    CertificateRenewalInput,
    Close,
    Done,
    Group,
    IssuedCertificate,
    RenewalPlan,
    StepInput,
    Undo,
    UndoPlan,
)
from schemas.errors import CaUnavailable, RedoubtError
from schemas.principals import UNKNOWN
from schemas.runs import Told, Word
from schemas.settings.dependencies import BreakerSettings

TARGETS = ("web-1", "web-2", "web-3")
NEW = CertificateFacts(
    fingerprint="a" * 64,
    serial="1",
    names=("www.example.com",),
    issuer="CN=test",
    not_before=datetime(2026, 11, 1, tzinfo=UTC),
    not_after=datetime(2027, 2, 1, tzinfo=UTC),
    public_key_sha256="b" * 64,
    key_algorithm="EC-P256",
)


def plan(**changes: Any) -> RenewalPlan:
    base = RenewalPlan(
        operation="op-1",
        certificate="www",
        names=("www.example.com",),
        issuers=("one", "two"),
        key_holder="hsm",
        key_algorithm="EC-P256",
        groups=(Group(name="shared", targets=TARGETS),),
        waves=(("web-1",), ("web-2", "web-3")),
        previous=dict.fromkeys(TARGETS, "c" * 64),
        grace_s=0,
        issuer_patience_s=0.5,
        target_patience_s=0.5,
        undo_patience_s=3600,
    )
    return base.model_copy(update=changes)


@activity.defn
async def hear(told: Told) -> Word:
    """As in an installation without a policy."""
    return Word(told=told, request=None, requester=UNKNOWN)


@dataclass
class StandIns:
    """`fails` maps `step/subject` to the errors of its first calls, in turn; subject is a target or an issuer."""

    planned: RenewalPlan
    fails: Mapping[str, Iterator[RedoubtError]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    word: Word | None = None
    """The abort that came with an undo."""
    holds: str = ""
    """The step that begins, and then ends only once the test says `go`."""
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def activities(self) -> list[Callable[..., Any]]:
        return [*(getattr(self, name) for name in _NAMES), hear]

    @property
    def counted(self) -> Counter[str]:
        return Counter(self.asked)

    async def _hold(self, step: str) -> None:
        if step == self.holds:
            self.holding.set()
            await self.go.wait()

    def _act(self, step: str) -> Done:
        self.asked.append(step)
        error = next(self.fails.get(step, iter(())), None)
        if error is not None:
            raise error
        return Done(words="a" * 64)

    @activity.defn
    async def plan_renewal(self, given: CertificateRenewalInput) -> RenewalPlan:
        self.asked.append(f"plan/{given.certificate}")
        await self._hold("plan")
        return self.planned

    @activity.defn
    async def make_key(self, step: StepInput) -> Done:
        await self._hold("key")
        return self._act(f"key/{step.group}")

    @activity.defn
    async def obtain_certificate(self, step: StepInput) -> IssuedCertificate:
        await self._hold("order")
        self._act(f"order/{step.issuer}")
        return IssuedCertificate(issuer=step.issuer, facts=NEW)

    @activity.defn
    async def stage(self, step: StepInput) -> Done:
        return self._act(f"stage/{step.target}")

    @activity.defn
    async def switch(self, step: StepInput) -> Done:
        return self._act(f"switch/{step.target}")

    @activity.defn
    async def verify(self, step: StepInput) -> Done:
        return self._act(f"verify/{step.target}")

    @activity.defn
    async def begin_undo(self, undo: Undo) -> UndoPlan:
        self._act(f"undo/{undo.operation}")
        self.word = undo.word
        begun = [name for name in TARGETS if f"switch/{name}" in self.asked]
        return UndoPlan(targets=tuple(begun))

    @activity.defn
    async def restore(self, step: StepInput) -> Done:
        return self._act(f"restore/{step.target}")

    @activity.defn
    async def close_renewal(self, close: Close) -> Done:
        return self._act(f"close/{close.outcome}")


class BehindBreaker(StandIns):
    """Orders go through a real breaker, which other runs have just opened; the CA is back a minute later."""

    def __init__(self, planned: RenewalPlan) -> None:
        super().__init__(planned)
        self._now = self._down_until = 0.0
        """Seconds since 1970, as the server's clock has them."""
        self._breaker = Breaker("issuer/one", BreakerSettings(), lambda: self._now)

    def _fail_for_others(self) -> None:
        self._down_until = self._now + 60
        for _ in range(5):
            with contextlib.suppress(CaUnavailable):
                self._breaker.call(lambda: self._order("by others"))

    @property
    def refused(self) -> int:
        return self._breaker.standing().refused

    def _act(self, step: str) -> Done:
        if not step.startswith("order/"):
            return super()._act(step)
        started = activity.info().started_time
        assert started is not None
        self._now = started.timestamp()
        if not self._down_until:
            self._fail_for_others()
        return self._breaker.call(lambda: self._order(step))

    def _order(self, step: str) -> Done:
        if self._now < self._down_until:
            raise CaUnavailable("one is down.")
        return super()._act(step)


_NAMES = (
    "plan_renewal",
    "make_key",
    "obtain_certificate",
    "stage",
    "switch",
    "verify",
    "begin_undo",
    "restore",
    "close_renewal",
)

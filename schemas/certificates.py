"""Contracts of the capability `certificates`: the workflows' inputs and results, and what passes between steps."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue

from schemas.contract import LONGEST_LINE, Contract, Line, WorkflowInput, line_of
from schemas.principals import SignedRequest
from schemas.runs import Word
from schemas.settings.certificates import ReplacementPolicy

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

ORDERS_WITH_ONE_ISSUER = 3
"""How often a CA may lose an order before the next issuer is asked; no step can name another order than these."""


class CertificateRenewalInput(WorkflowInput):
    certificate: Annotated[
        str,
        Field(
            description="The certificate's name in the inventory of the settings.",
            pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$",
        ),
    ]
    force: bool = Field(default=False, description="Renew even though it is not due yet.")
    skip_grace: bool = Field(
        default=False,
        description="Do not keep the old certificate for its grace: it is to be revoked at once.",
    )
    reason: Line = Field(
        default="", max_length=LONGEST_LINE, description="Why, for those who read the evidence later."
    )

    example: ClassVar[dict[str, object]] = {"certificate": "www", "force": True, "reason": "rehearsal"}

    @property
    def subject(self) -> str:
        return self.certificate


class CertificateSweepInput(WorkflowInput):
    """Carries no authority: what is due is read from the settings and from what the targets serve."""

    max_concurrent: int = Field(default=10, ge=1, le=100, description="Renewals at a time.")
    jitter_s: float = Field(default=0.0, ge=0, le=86_400, description="Each renewal starts within this time.")
    wait_s: float = Field(
        default=1800.0,
        gt=0,
        le=86_400,
        description="So long it waits for renewals to end; then they go on alone.",
    )

    example: ClassVar[dict[str, object]] = {"max_concurrent": 10, "jitter_s": 0}

    @property
    def subject(self) -> str:
        return "all"


class CertificateFacts(Contract):
    """What a parsed leaf certificate says; `clients.x509` reads it from PEM."""

    fingerprint: Sha256
    serial: str
    names: tuple[str, ...]
    issuer: str
    not_before: AwareDatetime
    not_after: AwareDatetime
    public_key_sha256: Sha256
    """Of the SubjectPublicKeyInfo in DER."""
    key_algorithm: str
    server_auth: bool = True
    chain_verified: bool = False
    """Whether the chain that came with it leads to one of the issuer's trust anchors."""


class Group(Contract):
    """Targets that share one private key, and so one order: all of them, or one each where targets make keys."""

    name: str
    """`shared`, or the target's name."""
    targets: tuple[str, ...]


class RecordedPlaces(Contract):
    """How an operation's targets are reached, as the settings said when it was planned; secrets are references."""

    targets: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """By name; kept as they were, for another version may read them."""
    seal: str = ""
    """Of this installation, over the certificate and these targets."""


class RenewalPlan(Contract):
    """What a renewal will do, in full, fixed by its first activity."""

    operation: str
    certificate: str
    names: tuple[str, ...]
    issuers: tuple[str, ...]
    key_holder: str
    key_algorithm: str
    groups: tuple[Group, ...]
    waves: tuple[tuple[str, ...], ...]
    """The targets' names, wave by wave."""
    previous: dict[str, str] = Field(default_factory=dict)
    """Target to the fingerprint that it held when the operation began; absent where it had none."""
    grace_s: float
    issuer_patience_s: float
    target_patience_s: float
    undo_patience_s: float
    verify_timeout_s: float = 30.0
    places: RecordedPlaces = RecordedPlaces()
    """In the operation's record; a run is not told them."""
    revoke_previous: bool = False
    """After the grace, at the CA that issued them."""
    destroy_keys: bool = False
    """After the grace: the keys of earlier operations on this certificate."""
    undoing: bool = False
    """True when an earlier run of this operation had begun to undo it and was ended before it was done."""
    settled: bool = False
    """True when an earlier run had begun to retire what was replaced: nothing is put back any more."""
    due: bool = True
    why: str = ""
    reason: str = ""
    """What the requester gave as the reason."""
    needs_approval: bool = False
    """Told to the run, and no part of the operation's record: the gate decides by the policy alone."""

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(name for wave in self.waves for name in wave)

    def group_of(self, target: str) -> Group:
        return next(group for group in self.groups if target in group.targets)

    def step(self, group: Group, *, target: str = "", issuer: str = "", attempt: int = 1) -> "StepInput":
        """The argument of an activity that works on this part of the plan."""
        return StepInput(
            operation=self.operation,
            certificate=self.certificate,
            group=group.name,
            target=target,
            issuer=issuer,
            attempt=attempt,
        )

    def closing(self, outcome: Literal["renewed", "undone"], why: str) -> "Close":
        return Close(operation=self.operation, certificate=self.certificate, outcome=outcome, why=why)


class StepInput(Contract):
    """An activity's one argument: which operation, and which part of it."""

    operation: str
    certificate: str
    group: str = ""
    target: str = ""
    issuer: str = ""
    attempt: Annotated[int, Field(ge=1, le=ORDERS_WITH_ONE_ISSUER)] = 1
    """Which order with this issuer: a CA may lose one."""


class Undo(Contract):
    operation: str
    certificate: str
    why: str
    word: Word | None = None
    """By whom it was aborted; None: by nobody, it has failed or was cancelled."""


class UndoPlan(Contract):
    targets: tuple[str, ...]
    """Those whose switch was begun, whether it is known to have happened or not."""


class Close(Contract):
    operation: str
    certificate: str
    outcome: Literal["renewed", "undone"]
    why: str = ""
    word: Word | None = None
    """By whom its grace was ended; None: by nobody, or the records know of it."""


class EndGrace(Contract):
    """Whose grace is to end, and for what."""

    certificate: str
    revocation: str = ""
    """The operation that waits for it; empty: it ends if a CA says that the new certificate is due."""


class Done(Contract):
    """What a step says when there is nothing to hand on but words for people."""

    words: str = ""


class Retired(Contract):
    """What became of what was replaced, in words."""

    words: tuple[str, ...] = ()


class IssuedCertificate(Contract):
    issuer: str
    attempt: int = 1
    """Which order with this issuer it came from."""
    facts: CertificateFacts
    caa_unknown: bool = False
    """No CAA records were looked up: neither the settings nor the CA say what it is called there."""


class CertificateRenewalResult(Contract):
    operation: str
    outcome: Literal["renewed", "not_due"]
    certificate: str
    fingerprints: dict[str, Sha256] = Field(default_factory=dict)
    """Target to what it serves now."""
    issuer: str = ""
    passed_over: tuple[str, ...] = ()
    """Issuers that were asked first and could not issue, in words."""
    not_after: AwareDatetime | None = None
    retired: tuple[str, ...] = ()
    """What became of what was replaced, in words."""


class SweepDecision(Contract):
    certificate: str
    due: bool
    why: str
    not_after: AwareDatetime | None = None
    due_at: AwareDatetime | None = None
    """From when on it is due; None where no target holds one."""
    held_off: bool = False
    """Due, but its last renewal failed not long ago, or the policy's windows and limits leave no room; `why` says."""
    distrusted: bool = False
    """Due since its issuer is distrusted."""
    wave: int = 0
    """Of the replacement of a distrusted issuer's certificates; 0: it is renewed for itself."""
    in_grace: bool = False
    """A renewal of it is in its grace, which is ended first."""
    request: SignedRequest | None = None
    """By which the sweep starts the renewal; None where the workers have no key of their own."""

    @property
    def renewal(self) -> CertificateRenewalInput:
        """What the sweep starts for it."""
        return CertificateRenewalInput(
            certificate=self.certificate,
            # There is nothing to go back to where the issuer is distrusted, and the next wave waits.
            skip_grace=self.distrusted,
            reason=line_of(self.why),
        )


class LookAgain(Contract):
    """Which of those that were due is looked at once more."""

    certificate: str


class SweepFinding(Contract):
    """What a sweep has found of one certificate, as it is noted for those who can't ask the CAs."""

    fingerprints: tuple[Sha256, ...]
    """Of what its targets held then: of anything else it says nothing."""
    due: bool
    due_at: AwareDatetime | None
    why: str

    @classmethod
    def of(cls, decision: SweepDecision, held: Iterable[CertificateFacts | None]) -> Self:
        shown = sorted({one.fingerprint for one in held if one is not None})
        return cls(fingerprints=tuple(shown), due=decision.due, due_at=decision.due_at, why=decision.why)

    def says(self, other: Self) -> bool:
        """Whether it says the same, but for the moment at which that was seen."""
        mine, others = (one.model_dump(exclude={"due_at"}) for one in (self, other))
        return mine == others and (self.due or self.due_at == other.due_at)

    def is_about(self, held: Iterable[CertificateFacts | None]) -> bool:
        facts = list(held)
        return None not in facts and set(self.fingerprints) == {one.fingerprint for one in facts if one}


class SweepFindings(Contract):
    """Bounded: what is due beyond a sweep's size waits for the next sweep."""

    looked_at: int
    due: tuple[SweepDecision, ...]
    unreadable: tuple[SweepDecision, ...] = ()
    """Certificates with a target that could not be looked at, and why."""
    held_off: tuple[SweepDecision, ...] = ()
    """Certificates that are due, and wait: after a failure, for their window, or for room under a limit."""
    halted: tuple[SweepDecision, ...] = ()
    """Certificates of a distrusted issuer that no wave takes up, since too many have failed."""
    failed_lately: int = 0
    """How many of a distrusted issuer are held off, and how many renewals still go back."""
    replacement: ReplacementPolicy = ReplacementPolicy()
    postponed: int = 0


class CertificateSweepResult(Contract):
    looked_at: int
    renewed: tuple[str, ...] = ()
    already_running: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """Those whose renewal failed, and those that could not be looked at."""
    running: tuple[str, ...] = ()
    """Renewals that were still under way (paused, in their grace, going back) when the sweep had waited enough."""
    held_off: tuple[str, ...] = ()
    """Those that are due, and wait: after a failure, for their window, or for room under a limit."""
    halted: tuple[str, ...] = ()
    """Those of a distrusted issuer that were not begun, since too many of them have failed."""
    postponed: int = 0

"""On the targets: the new version beside the old one, the switch, the check by handshake, and the way back."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import JsonValue
from temporalio import activity

from activities import clock
from activities.beating import beats
from activities.certificates.in_grace import refuse_unless_over_or_ended
from activities.certificates.proofs import withdraw_given_up
from activities.certificates.standing import issued_by, refuse_if_too_early
from activities.certificates.steps import FORWARD, UNDOING, Steps, forward, plan_of
from activities.steering import RECORDS_AWAY
from clients.probes.waiting import wait_until_served
from clients.targets import Bundle, Fence
from rules.points import reached
from schemas.certificates import CertificateFacts, Close, Done, RenewalPlan, StepInput, Undo, UndoPlan
from schemas.errors import (
    EvidenceUnavailable,
    Fenced,
    InvalidSettings,
    RedoubtError,
    TargetUnreachable,
    VerificationFailed,
)
from schemas.evidence import Event
from schemas.settings.targets import TargetSettings


class SwitchingActivities(Steps):
    @activity.defn
    @beats
    @forward("stage/{target}")
    def stage(self, step: StepInput) -> Done:
        """Put the new version beside the current one on this target, unused."""
        plan, bundle = self._ready(step)
        fence = Fence(operation=step.operation, epoch=FORWARD)

        def effect() -> dict[str, JsonValue]:
            self._around.target(self._existing(plan, step.target)).stage(bundle, fence)
            return {"fingerprint": bundle.version}

        facts: dict[str, JsonValue] = {"fingerprint": bundle.version}
        self._target_step(plan, step, "stage", Event.CERTIFICATE_STAGED, facts, effect)
        return Done(words=bundle.version)

    @activity.defn
    @beats
    @forward("switch/{target}")
    def switch(self, step: StepInput) -> Done:
        """Make the new version current on this target, in one atomic step, and have its service read it."""
        plan, bundle = self._ready(step)
        fence = Fence(operation=step.operation, epoch=FORWARD)

        def effect() -> dict[str, JsonValue]:
            self._around.target(self._existing(plan, step.target)).switch(bundle.version, fence)
            return {"fingerprint": bundle.version}

        facts: dict[str, JsonValue] = {"to": bundle.version, "from": plan.previous.get(step.target)}
        self._target_step(plan, step, "switch", Event.CERTIFICATE_SWITCHED, facts, effect)
        self._around.measures.switched(step.certificate, step.target)
        return Done(words=bundle.version)

    @activity.defn
    @beats
    @forward("verify/{target}")
    def verify(self, step: StepInput) -> Done:
        """Shake hands with the target until it shows the new certificate, trusted, or it is too late."""
        plan, bundle = self._ready(step)

        def effect() -> dict[str, JsonValue]:
            clock.now()  # a worker of another day would find a good certificate too early, or ended
            place = self._existing(plan, step.target)
            fence = Fence(operation=step.operation, epoch=FORWARD)
            return self._served(
                place,
                plan,
                bundle.version,
                roots=self._roots(place, step),
                again=lambda: self._around.target(place).switch(bundle.version, fence),
            )

        facts: dict[str, JsonValue] = {"fingerprint": bundle.version}
        try:
            self._target_step(plan, step, "verify", Event.CERTIFICATE_VERIFIED, facts, effect)
        except VerificationFailed:
            self._around.measures.unverified(step.certificate, step.target)
            raise
        return Done(words=bundle.version)

    def _roots(self, target: TargetSettings, step: StepInput) -> bytes:
        """Those that the target's visitors trust, if the settings say so; then the issuer is not asked."""
        if target.verify is None or not target.verify.trust_file:
            return self._around.issuer(step.issuer).trust_anchors()
        try:
            return Path(target.verify.trust_file).read_bytes()
        except OSError as error:
            raise InvalidSettings(
                f"The trust_file of target {target.name} can't be read ({error.strerror})."
            ) from error

    def _served(
        self,
        target: TargetSettings,
        plan: RenewalPlan,
        fingerprint: str,
        *,
        roots: bytes | None,
        again: Callable[[], None],
    ) -> dict[str, JsonValue]:
        """Wait until the target steadily shows this leaf; with `roots`, trusted by them too."""
        at = target.verify
        if at is None:
            return self._read_back(target, fingerprint)
        seen = wait_until_served(
            self._around.prober,
            at.host,
            at.port,
            plan.names[0],
            roots or b"",
            expected=fingerprint,
            within_s=plan.verify_timeout_s,
            beat=activity.heartbeat,
            trusted=roots is not None,
            again=again,
        )
        return {"fingerprint": seen.fingerprint, "tls": seen.tls_version, "trusted": seen.trusted}

    def _read_back(self, target: TargetSettings, fingerprint: str) -> dict[str, JsonValue]:
        """For a target without a listener: that it holds what its readers are to find, whole."""
        words = self._around.target(target).drift(fingerprint)
        if words is not None:
            raise VerificationFailed(f"Target {target.name} does not hold what it must: {words}.")
        return {"fingerprint": fingerprint, "read_back": True}

    # --- back again -----------------------------------------------------------------------------------

    @activity.defn
    @beats
    def begin_undo(self, undo: Undo) -> UndoPlan:
        """From here on this operation only goes back, whoever runs it.

        Raises `NotAuthorized` where its records don't show that it has failed, and nobody who may has aborted it.
        """
        opened = self._around.journal.operation(undo.operation)
        if opened.closed is not None:
            # Another run has ended it: what it left is how things are, and not to be put back.
            return UndoPlan(targets=())
        plan = plan_of(opened)
        targets = plan.targets
        self._refuse_if_settled(undo)
        by = self._around.steering.may_undo(opened, undo.word, lambda: self._failure(plan))
        if by == RECORDS_AWAY:
            self._refuse_if_back(undo.operation)
        self._around.journal.undo(undo.operation, undo.why, by)
        reached("undo.begun")
        try:
            begun = {step.step for step in self._around.journal.steps(undo.operation)}
        except EvidenceUnavailable:
            # Which switches were begun can't be read now, and going back must not wait for it: putting back a
            # target that was not switched changes nothing.
            return UndoPlan(targets=targets)
        return UndoPlan(targets=tuple(name for name in targets if f"switch/{name}" in begun))

    def _refuse_if_back(self, operation: str) -> None:
        """Records that were away for a moment only are asked again."""
        try:
            self._around.journal.steps(operation)
        except EvidenceUnavailable:
            return
        raise EvidenceUnavailable(
            "The records could not be read a moment ago, so it was not judged whether to put back."
        )

    def _refuse_if_settled(self, undo: Undo) -> None:
        try:
            settled = self._settled(undo.operation)
        except EvidenceUnavailable:
            return  # a run that takes up an operation has read this in its plan; in its own way back nothing is retired
        if settled:
            raise Fenced(
                f"The renewal of {undo.certificate} is not undone: every target was verified, and what it replaced "
                "is being revoked or destroyed."
            )

    @activity.defn
    @beats
    def restore(self, step: StepInput) -> Done:
        """Put the certificate that this target had back, and see that it is served again."""
        plan = self._planned(step)
        if not plan.undoing:
            raise Fenced(f"The renewal of {step.certificate} does not undo itself, so nothing is put back.")
        previous = plan.previous.get(step.target)
        fence = Fence(operation=step.operation, epoch=UNDOING)

        def effect() -> dict[str, JsonValue]:
            place = self._places.known(plan, step.target)
            if place is None:
                raise TargetUnreachable(
                    f"Target {step.target} of {plan.certificate} is not put back: neither the settings nor the "
                    "operation's record say how it is reached. Put it back into the settings, and start the "
                    "renewal again."
                )

            def back() -> None:
                self._around.target(place).switch_back(previous, fence)

            back()
            if previous is None:
                return {"fingerprint": None}
            return self._served(place, plan, previous, roots=None, again=back)

        self._target_step(plan, step, "undo", Event.CERTIFICATE_RESTORED, {"to": previous}, effect)
        return Done(words=previous or "")

    @activity.defn
    @beats
    def close_renewal(self, close: Close) -> Done:
        """Delete versions that nobody needs, and let the next operation on this certificate begin."""
        opened = self._around.journal.operation(close.operation)
        plan = plan_of(opened)
        self._refuse_unless_shown(opened, close.outcome, plan.targets, undoing=opened.undoing)
        if close.outcome == "renewed" and opened.closed is None and not self._settled(close.operation):
            refuse_unless_over_or_ended(self._around, opened, plan, close.word)
        fence = Fence(operation=close.operation, epoch=UNDOING if close.outcome == "undone" else FORWARD)

        def leave(target: TargetSettings) -> CertificateFacts | None:
            self._retire(target, plan, fence)
            return self._held(target)

        held = self._around.looks.at(self._places.all_known(plan), leave)
        for name, answer in held.items():
            if isinstance(answer, RedoubtError):
                activity.logger.warning("%s was left without a last look: %s", name, answer.in_full)
        withdraw_given_up(self._around, close.operation)
        reached("renewal.retired")
        self._around.journal.close(close.operation, close.outcome, {"why": close.why})
        self._measure(plan.certificate, close.outcome, held)
        return Done()

    def _measure(
        self, certificate: str, outcome: str, held: Mapping[str, CertificateFacts | RedoubtError | None]
    ) -> None:
        """What the targets hold at the end, and not before: an undo would leave the measure of a lost certificate."""
        settings, measures = self._around.inventory.get(certificate), self._around.measures
        measures.closed(certificate, outcome)
        if settings is None:
            return
        # One that can't be reached is measured by the next sweep.
        told = {name: facts for name, facts in held.items() if not isinstance(facts, RedoubtError)}
        measures.held(certificate, told, settings.renew)

    def _retire(self, target: TargetSettings, plan: RenewalPlan, fence: Fence) -> None:
        """Tidy up; a target that can't be reached now is tidied by the next renewal."""
        kept = plan.previous.get(target.name)
        try:
            self._around.target(target).retire((kept,) if kept else (), fence)
        except RedoubtError as error:
            activity.logger.warning("old versions stay on %s: %s", target.name, error.in_full)

    # --- what these steps share -----------------------------------------------------------------------

    def _target_step(  # noqa: PLR0913, PLR0917 - a step is all of these
        self,
        plan: RenewalPlan,
        step: StepInput,
        verb: str,
        what: Event,
        facts: dict[str, JsonValue],
        effect: Callable[[], dict[str, JsonValue]],
    ) -> None:
        name = f"{verb}/{step.target}"
        if verb != "undo":
            refuse_if_too_early(self._around.journal, plan, step, name)
        self._once(step.operation, name, what, {"target": step.target, **facts}, effect)

    def _ready(self, step: StepInput) -> tuple[RenewalPlan, Bundle]:
        """The plan, and what is to be put on the target."""
        plan = self._planned(step)
        issued = self._result(step.operation, issued_by(step))
        key_id = str(self._result(step.operation, f"key/{step.group}")["key_id"])
        uri = None
        if plan.key_holder != "target":
            uri = self._around.key_store(plan.key_holder).uri(bytes.fromhex(key_id))
        facts = CertificateFacts.model_validate(issued["facts"])
        chain = str(issued["chain"]).encode("ascii")
        return plan, Bundle(version=facts.fingerprint, fullchain=chain, key_id=key_id, key_uri=uri)

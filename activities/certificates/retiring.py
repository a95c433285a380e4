"""What was replaced: its certificates are revoked where that is asked for, and its keys are destroyed.

Neither can be undone, so each waits until its intent is in the evidence log, and neither begins before every target
is verified with what replaces it and the grace after that is over.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue
from temporalio import activity

from activities import clock
from activities.beating import beats
from activities.certificates.giving_up import plan_of_revocation
from activities.certificates.in_grace import refuse_in_its_grace
from activities.certificates.issued import LOOKED_BACK, Issued, KnownCertificates
from activities.certificates.steps import FORWARD, KIND, REVOCATION, plan_of
from clients.targets import Fence
from rules.endings import REVOKE
from schemas.certificates import Close, RenewalPlan, Retired
from schemas.errors import NotAuthorized, RedoubtError, StillServed
from schemas.evidence import Event
from schemas.revocations import RevocationReason
from schemas.settings.targets import TargetSettings

_VERIFY: Final = "verify/"


class RetiringActivities(KnownCertificates):
    @activity.defn
    @beats
    def revoke_previous(self, close: Close) -> Retired:
        """Revoke what the targets had before, as superseded, and what earlier renewals should have revoked so."""
        plan = self._plan(close.operation)
        held = self._refuse_unless_replaced(plan, asked_for=plan.revoke_previous)
        known = {one.facts.fingerprint: one for one in self._issued_before(plan.certificate)}
        previous = set(plan.previous.values())
        wanted = (previous & known.keys()) | self._left_unrevoked(plan.certificate, known)
        words, failed = [], list[RedoubtError]()
        for fingerprint in sorted(wanted - held - self._to_be_revoked(plan.certificate)):
            try:
                words.append(self._revoke(close.operation, known[fingerprint], RevocationReason.SUPERSEDED))
            except RedoubtError as failure:
                failed.append(failure)  # another CA may answer
        if failed:
            raise failed[0]
        strangers = sorted(previous - known.keys())
        return Retired(
            words=(*words, *(f"{one[:12]} was not issued by Redoubt and stays" for one in strangers))
        )

    def _left_unrevoked(self, certificate: str, known: Mapping[str, Issued]) -> set[str]:
        """What earlier renewals were to revoke and did not: their CA was away, or their grace was ended early."""
        journal, now = self._around.journal, clock.now()
        wanted: set[str] = set()
        revoked: set[str] = set()
        for kind in (KIND, REVOCATION):
            for ending in journal.endings(kind, certificate, LOOKED_BACK):
                steps = [one for one in journal.steps(ending.operation) if one.step.startswith(REVOKE)]
                revoked |= {one.step.removeprefix(REVOKE) for one in steps if one.result is not None}
                if kind == KIND and ending.outcome == "renewed":
                    earlier = plan_of(journal.operation(ending.operation))
                    wanted |= set(earlier.previous.values()) if earlier.revoke_previous else set()
        return {one for one in wanted & known.keys() - revoked if known[one].facts.not_after > now}

    def _to_be_revoked(self, certificate: str) -> set[str]:
        """By a revocation that is under way, for a reason of its own, which a CA is told once."""
        return {
            one.fingerprint
            for opened in self._around.journal.unfinished(REVOCATION)
            if opened.subject == certificate
            for one in plan_of_revocation(opened).certificates
        }

    @activity.defn
    @beats
    def destroy_keys(self, close: Close) -> Retired:
        """Destroy the keys that earlier operations on this certificate have left, in key stores and on its targets."""
        plan = self._plan(close.operation)
        self._refuse_unless_replaced(plan, asked_for=plan.destroy_keys)
        words = [self._destroy(plan, place, key_id) for place, key_id in self._keys_before(plan)]
        return Retired(words=tuple(words))

    def _refuse_unless_replaced(self, plan: RenewalPlan, *, asked_for: bool) -> set[str]:
        """Whoever may write to Temporal can ask for this step: the records and the targets themselves must agree.

        Returns the fingerprints that targets hold now.
        """
        if not asked_for:
            raise NotAuthorized(f"The plan of the operation on {plan.certificate} does not ask for this.")
        verified = {
            one.step.removeprefix(_VERIFY): one
            for one in self._around.journal.steps(plan.operation)
            if one.step.startswith(_VERIFY)
        }
        holding = self._held_by(self._places.all_known(plan).values())
        for name in plan.targets:
            shown = verified[name].result if name in verified else None
            held = holding.get(name)
            if shown is None or held is None or held.fingerprint != shown["fingerprint"]:
                raise StillServed(
                    f"{name} does not hold what this renewal verified there, so nothing was retired."
                )

        refuse_in_its_grace(self._around.journal, plan)
        return {held.fingerprint for held in holding.values() if held is not None}

    def _destroy(self, plan: RenewalPlan, place: str, key_id: str) -> str:
        def effect() -> dict[str, JsonValue]:
            holder, _, target = place.partition("/")
            if target:
                fence = Fence(operation=plan.operation, epoch=FORWARD)
                self._around.target(self._own_targets(plan)[target]).destroy_key(key_id, fence)
            else:
                self._around.key_store(holder).destroy(bytes.fromhex(key_id))
            return {"destroyed": True}

        facts: dict[str, JsonValue] = {"place": place, "key_id": key_id}
        self._irrevocably(plan.operation, _destroying(place, key_id), Event.KEY_DESTROYED, facts, effect)
        return f"key {key_id[:12]} in {place} was destroyed"

    def _keys_before(self, plan: RenewalPlan) -> Iterator[tuple[str, str]]:
        """Where it lies (a key store, or `target/NAME`), and its ID; of ended operations, newest first.

        What is still there, or was being destroyed. A key that a target may still use which the settings have no more
        stays.
        """
        targets = self._own_targets(plan)
        begun = {step.step for step in self._around.journal.steps(plan.operation)}
        destroyed: set[str] = set()
        for ending in self._around.journal.endings(KIND, plan.certificate, LOOKED_BACK):
            earlier = plan_of(self._around.journal.operation(ending.operation))
            steps = {step.step: step for step in self._around.journal.steps(ending.operation)}
            # What lies at a target is not listed there: later operations, which come first, tell what is gone.
            destroyed |= {name for name, step in steps.items() if step.result is not None}
            made = [
                (name.removeprefix("key/"), str(step.result["key_id"]))
                for name, step in steps.items()
                if name.startswith("key/") and step.result
            ]
            if earlier.key_holder == "target":
                places = ((f"target/{target}", key_id) for target, key_id in made if target in targets)
                yield from (one for one in places if _destroying(*one) not in destroyed)
            elif targets.keys() >= set(earlier.targets):
                held = {key.key_id for key in self._around.key_store(earlier.key_holder).list()}
                for _, key_id in made:
                    if key_id in held or _destroying(earlier.key_holder, key_id) in begun:
                        yield earlier.key_holder, key_id

    def _own_targets(self, plan: RenewalPlan) -> dict[str, TargetSettings]:
        """Those that the settings name."""
        settings = self._around.inventory.get(plan.certificate)
        return {target.name: target for target in settings.targets} if settings else {}


def _destroying(place: str, key_id: str) -> str:
    return f"destroy/{place}/{key_id}"

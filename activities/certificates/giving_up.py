"""When a revocation is closed though it has not revoked everything: only for what shows that it is to be.

What was to be revoked is fixed when it is planned, and nowhere else. Once targets hold a replacement, a revocation that
is planned anew would find that, and revoke it. So from then on, or once a CA may have been asked, a revocation stays
open until it is done, and the next run goes on with it. Only people give it up then, by a signed abort or a rejection.

Before that it is closed as failed for an abort, or for what its records show: its approval was refused or has expired,
or its replacement was put back. A workflow's word is not enough: the certificate may be in a thief's hands.
"""

from pydantic import JsonValue

from activities.certificates.issued import KnownCertificates
from activities.certificates.steps import KIND, REVOCATION, plan_of, refuse_another_kind
from rules.endings import REVOKE
from rules.ids import made_at
from schemas.errors import NotAuthorized
from schemas.revocations import RevocationPlan
from schemas.runs import Word
from store import Operation


class GivingUp(KnownCertificates):
    """Base of the revocation's activities."""

    def _given_up(self, opened: Operation, plan: RevocationPlan, word: Word | None) -> dict[str, JsonValue]:
        """What the evidence says of who or what has it closed. Raises `NotAuthorized` where it stays open."""
        if opened.closed is not None:
            return {}
        steering, approvals = self._around.steering, self._around.approvals
        if word is not None:
            return steering.may_give_up(opened, word, lambda: "")
        if approvals.refused(opened.operation):
            return steering.may_give_up(opened, None, lambda: approvals.denied(opened.operation))
        self._refuse_unless_shown(opened, "failed", ())
        if why := self._under_way(opened, plan):
            raise NotAuthorized(f"The revocation of {opened.subject} is not given up: {why}.")
        return steering.may_give_up(opened, None, lambda: self._shown(opened))

    def _under_way(self, opened: Operation, plan: RevocationPlan) -> str:
        """What of it has been done, in words; "" if nothing."""
        if any(step.step.startswith(REVOKE) for step in self._around.journal.steps(opened.operation)):
            return "a CA was asked to revoke"
        doomed = {one.fingerprint for one in plan.certificates}
        if any(doomed & set(plan_of(one).previous.values()) for one in self._renewals_since(opened)):
            return "what it is to revoke has been replaced, or is being replaced"
        return ""

    def _renewals_since(self, opened: Operation) -> list[Operation]:
        """Those that have ended well since, and one that goes forward now."""
        journal, since = self._around.journal, made_at(opened.operation)
        left = self._unfinished_renewal(opened.subject)
        ended = [
            journal.operation(one.operation)
            for one in journal.endings(KIND, opened.subject)
            if one.outcome == "renewed" and one.at >= since
        ]
        return ended if left is None or left.undoing else [left, *ended]

    def _shown(self, opened: Operation) -> str:
        """That it has failed, as far as the records show, in words; "" if they don't."""
        since = made_at(opened.operation)
        undone = any(
            one.outcome == "undone" and one.at >= since
            for one in self._around.journal.endings(KIND, opened.subject)
        )
        denied = self._around.approvals.denied(opened.operation)
        return denied or ("its replacement was put back" if undone else "")


def plan_of_revocation(opened: Operation) -> RevocationPlan:
    refuse_another_kind(opened, REVOCATION)
    return RevocationPlan.model_validate({**opened.state, "operation": opened.operation})

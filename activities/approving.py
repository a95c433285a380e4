"""Approvals as activities: asking for one, taking votes, and the gate at which an effect begins.

Whoever can write to Temporal can start runs, tell them anything and complete their activities. So no word of a
workflow counts. The activity that begins an effect asks the gate, and the gate asks the records:

- It recomputes the digest from the operation's own record, which is what the step will read, and from who it knows has
  asked for it: another plan, operation, run, requester or policy is not what was approved.
- It verifies every vote's signature again with the policy's keys, and that its approver has the role; then it counts.
- The approval is used once. The first effect must begin before it expires and while its policy holds. An operation that
  has begun under an approval goes on by it, so that nothing stays half-done, and so does a second attempt.
- Undoing asks nobody.
- An installation without a policy asks for no approval; one whose policy can't be verified begins nothing.
"""

import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from pydantic import JsonValue
from temporalio import activity

from activities import clock
from activities.authorizing import STEP as AUTHORIZATION
from activities.beating import beats
from activities.policies import Policies
from clients.signers import Proof, Verifier, counted
from rules import approvals as rules
from rules.hardware import in_hardware
from rules.requests import key_of
from rules.roles import allowed
from schemas.approvals import Approval, ApprovalAsk, ApprovalRequest, Ballot, State, Tally, Verdict, Vote
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import NotApproved, VoteRefused
from schemas.policies import ApprovalRule, Authorization, Policy
from schemas.principals import UNKNOWN, Act, Principal, Shown
from schemas.signing_keys import SigningKey
from store import Journal, Operation
from store.approvals import Approvals, Use

_UNDO: Final = "undo/"
_ACTS: Final[Mapping[Verdict, Act]] = {Verdict.APPROVE: Act.APPROVE, Verdict.REJECT: Act.REJECT}


class ApprovalGate:
    def __init__(
        self,
        approvals: Approvals,
        policies: Policies,
        journal: Journal,
        verifier: Verifier,
        installation: str,
    ) -> None:
        self.approvals: Final = approvals
        self._policies = policies
        self._journal = journal
        self._verifier = verifier
        self._installation = installation

    def needed(self, workflow_type: str, subject: str) -> bool:
        """Whether the policy that holds now asks for approval: a workflow that is told so asks before it begins."""
        held = self._policies.current()
        return held is not None and _rule(held.policy, workflow_type, subject) is not None

    def confirm(self, operation: str, step: str) -> dict[str, JsonValue]:
        """By the activity of an effect, before its intent; returns what the intent says of it.

        Raises `NotApproved`, and `NotAuthorized` if the policy can't be verified; nothing of the step has then begun.
        """
        request = None if step.startswith(_UNDO) else self._asked_of(operation)
        if request is None:
            return {}
        tally = self._verified(self._journal.operation(operation), request)
        used = self.approvals.used(rules.digest(request))
        only = used or self.approvals.consume(request, Use(operation=operation, step=step))
        if only.operation != operation:
            raise NotApproved("The approval was used by another operation.")
        return {"approval": rules.digest(request), "approved_by": list(tally.approved_by)}

    def granted(self, operation: str) -> None:
        """As `confirm`, for what comes before the first effect: the approval is not used up."""
        request = self._asked_of(operation)
        if request is not None:
            self._verified(self._journal.operation(operation), request)

    def _asked_of(self, operation: str) -> ApprovalRequest | None:
        """The request that must be granted, one that is used or can be; None where no approval is needed."""
        held = self._policies.current()
        if held is None:
            return None
        opened, request = self._journal.operation(operation), self.approvals.latest(operation)
        if request is not None and self.approvals.used(rules.digest(request)) is not None:
            return request
        governing = self._governing(operation, held.policy)
        rule = _rule(governing, opened.kind, opened.subject)
        return None if rule is None else self._usable(request, rule, governing)

    def _governing(self, operation: str, current: Policy) -> Policy:
        """What has begun its effects without needing an approval goes on so; nothing else does."""
        begun = {step.step for step in self._journal.steps(operation)} - {AUTHORIZATION}
        steps = {step for step in begun if not step.startswith(_UNDO)}  # undoing passes by this gate
        known = self._authorization(operation)
        if not steps or known is None:
            return current
        return self._policies.version(known.policy_version).policy

    def _usable(self, request: ApprovalRequest | None, rule: ApprovalRule, policy: Policy) -> ApprovalRequest:
        if request is None:
            raise NotApproved("The policy asks for approval, and nobody was asked.")
        if (request.policy_version, request.rule) != (policy.version, rule):
            raise NotApproved(
                "The policy has changed since approval was asked for, so it has to be asked for anew."
            )
        if clock.now() >= request.expires:
            raise NotApproved(f"The approval expired at {request.expires:%Y-%m-%d %H:%M:%S} UTC.")
        return request

    def _verified(self, opened: Operation, request: ApprovalRequest) -> Tally:
        """The count of the votes that are good, about what the records hold now."""
        if not self._is_about(request, opened):
            raise NotApproved("What is to be done is not what was approved: the plan or its run has changed.")
        tally = self._tally(request)
        if tally.state is not State.GRANTED:
            raise NotApproved(
                f"It is {tally.state}: {len(tally.approved_by)} of {tally.needed} approvals are there and good."
            )
        return tally

    def _tally(self, request: ApprovalRequest) -> Tally:
        policy = self.policy_of(request)
        casts = self.approvals.casts(rules.digest(request))
        good = [cast for cast in casts if not isinstance(self.proof(policy, request, cast.vote), str)]
        return rules.tally(request, good, clock.now())

    def denied(self, operation: str) -> str:
        """That the approval which it needs was refused, has expired or is about something else, in words.

        "" if nothing of that holds, or it was used.
        """
        request = self._unused(operation)
        if request is None:
            return ""
        # By the records alone: where this is asked from is no part of them.
        if not self._is_about(request, self._journal.operation(operation), namespace=request.namespace):
            return "what is to be done is not what approval was asked for"
        state = self._tally(request).state
        return f"its approval is {state}" if state in {State.REFUSED, State.EXPIRED} else ""

    def refused(self, operation: str) -> bool:
        """Whether somebody who counts has rejected it."""
        request = self._unused(operation)
        return request is not None and self._tally(request).state is State.REFUSED

    def _unused(self, operation: str) -> ApprovalRequest | None:
        """What was asked last; None if nothing was, or it was used."""
        request = self.approvals.latest(operation)
        return None if request is None or self.approvals.used(rules.digest(request)) is not None else request

    def _is_about(self, request: ApprovalRequest, opened: Operation, **known: str) -> bool:
        as_it_is = self._as_it_is(opened, request).model_copy(update=known)
        return hmac.compare_digest(rules.digest(as_it_is), rules.digest(request))

    def _as_it_is(self, opened: Operation, request: ApprovalRequest) -> ApprovalRequest:
        """What would be asked for now: only the times, the rule and its version are the request's."""
        return request.model_copy(update=self.facing(opened))

    def facing(self, opened: Operation) -> dict[str, object]:
        """The parts of a request that say what will be done and for whom."""
        known = self._authorization(opened.operation)
        return {
            "installation": self._installation,
            "namespace": activity.info().namespace,
            "workflow_type": opened.kind,
            "workflow_id": opened.workflow_id,
            "operation": opened.operation,
            "subject": opened.subject,
            "plan": opened.state,
            "requester": UNKNOWN if known is None else known.requester,
            "on_behalf_of": None if known is None else known.on_behalf_of,
        }

    def _authorization(self, operation: str) -> Authorization | None:
        kept = self._journal.result(operation, AUTHORIZATION)
        return None if kept is None else Authorization.model_validate(kept)

    def proof(self, policy: Policy, request: ApprovalRequest, vote: Vote) -> tuple[SigningKey, Proof] | str:
        """That the vote is its approver's, and by which key; a text says why it is not."""
        found = key_of(policy, vote.key_id)
        if found is None or found[0] != vote.approver:
            return f"the policy knows no key {vote.key_id} of {vote.approver}"
        key = found[1]
        person = Principal(name=vote.approver, shown=Shown.SIGNING_KEY, hardware=in_hardware(policy, key))
        capability = WORKFLOW_TYPES[request.workflow_type].capability
        decision = allowed(policy, person, _ACTS[vote.verdict], capability, request.subject)
        if not decision.yes:
            return decision.why
        proof = self._verifier.proof(key, rules.statement(vote), vote.signature)
        return "its signature is not good" if proof is None else (key, proof)

    def asked(self, opened: Operation) -> ApprovalRequest | None:
        """The request that holds, asked anew if what it says is not how things are; None if none is needed."""
        held = self._policies.current()
        governing = None if held is None else self._governing(opened.operation, held.policy)
        rule = None if governing is None else _rule(governing, opened.kind, opened.subject)
        latest = self.approvals.latest(opened.operation)
        done = latest is not None and self.approvals.used(rules.digest(latest)) is not None
        if held is None or rule is None or done:
            return None
        now = clock.now()
        fresh = ApprovalRequest.model_validate(
            {
                **self.facing(opened),
                "policy_version": held.policy.version,
                "rule": rule,
                "asked_at": now,
                "expires": now + timedelta(seconds=rule.expires_s),
            }
        )
        if latest is None:
            return self.approvals.ask(fresh)
        times = {"asked_at": latest.asked_at, "expires": latest.expires}
        same = rules.digest(fresh.model_copy(update=times)) == rules.digest(latest)
        if same and now < latest.expires:
            return latest
        return self.approvals.ask(fresh, instead_of=rules.digest(latest))

    def policy_of(self, request: ApprovalRequest) -> Policy:
        return self._policies.version(request.policy_version).policy


class ApprovingActivities:
    """For every pool whose workflows may need approval."""

    def __init__(self, gate: ApprovalGate, journal: Journal) -> None:
        self._gate = gate
        self._journal = journal

    @activity.defn
    @beats
    def request_approval(self, ask: ApprovalAsk) -> Approval | None:
        """Ask, or find what an earlier attempt or run has asked; None where nothing is to be waited for."""
        request = self._gate.asked(self._journal.operation(ask.operation))
        return None if request is None else self._counted(request)

    @activity.defn
    @beats
    def cast_vote(self, ballot: Ballot) -> Tally:
        """Verify a vote, keep it and count. Raises `VoteRefused`."""
        request = self._latest(ballot.operation)
        found = self._gate.proof(self._gate.policy_of(request), request, ballot.vote)
        if isinstance(found, str):
            raise VoteRefused(f"The vote of {ballot.vote.approver} was not taken: {found}.")
        key, proof = found
        once = counted(key, rules.statement(ballot.vote), proof, ballot.vote.at)
        return self._gate.approvals.cast(request, ballot.vote, clock.now(), once)

    @activity.defn
    @beats
    def count_approval(self, ask: ApprovalAsk) -> Approval:
        """How it stands by now."""
        return self._counted(self._latest(ask.operation))

    def _latest(self, operation: str) -> ApprovalRequest:
        request = self._gate.approvals.latest(operation)
        if request is None:
            raise NotApproved("Nobody was asked to approve this operation.")
        return request

    def _counted(self, request: ApprovalRequest) -> Approval:
        tally = self._gate.approvals.count(request, clock.now())
        return Approval(digest=rules.digest(request), request=request, tally=tally)


def _rule(policy: Policy, workflow_type: str, subject: str) -> ApprovalRule | None:
    return rules.rule_for(policy, WORKFLOW_TYPES[workflow_type].capability, workflow_type, subject)

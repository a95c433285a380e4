"""A request held against the policy: whose it is, whether they may, and the evidence of a refusal.

Starts (`activities.authorizing`) and what people tell a run (`activities.steering`) are judged alike.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pydantic import JsonValue, ValidationError
from temporalio import activity

from activities.policies import Held, Policies, count_of
from activities.running import this_run
from clients.identities import Verifier
from rules.requests import Facing, Spoken, mismatch, spoken, statement
from rules.roles import allowed
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import NotAuthorized, RedoubtError
from schemas.evidence import Entry, Event, Kind
from schemas.principals import UNKNOWN, Act, Principal, SignedRequest
from store import Journal
from store.policies import PolicyRecords


class Asked(NamedTuple):
    """What is to be judged, as the records or the activity at hand have it."""

    act: Act
    workflow_type: str
    workflow_id: str
    subject: str
    input_sha256: str
    request: SignedRequest | None
    at: datetime
    """When it was presented."""
    run_id: str = ""


class Judge:
    def __init__(  # noqa: PLR0913, PLR0917 - it asks all of these
        self,
        policies: Policies,
        records: PolicyRecords,
        journal: Journal,
        installation: str,
        verify: Verifier,
        presented: Callable[[], bytes | None],
    ) -> None:
        """`presented`: the header `redoubt-principal` of the activity that runs now, as it came."""
        self.policies: Final = policies
        self.records: Final = records
        self.journal: Final = journal
        self._installation = installation
        self._verify = verify
        self._presented = presented

    def held(self, act: Act, subject: str) -> Held | None:
        """The policy that holds; None in an installation without one. Raises `NotAuthorized`."""
        try:
            return self.policies.current()
        except NotAuthorized as refused:
            self.refuse(here(), "policy", act, subject, refused)
            raise

    def request(self) -> SignedRequest | None:
        """The one that came with this activity; None: none did."""
        presented = self._presented()
        if presented is None:
            return None
        try:
            return SignedRequest.model_validate_json(presented)
        except ValidationError:
            raise NotAuthorized("This was refused: what came as a signed request is none.") from None

    def requester(self, held: Held, asked: Asked) -> Principal:
        """Who asks, if they may. Raises `NotAuthorized`."""
        capability = WORKFLOW_TYPES[asked.workflow_type].capability
        requester = UNKNOWN if asked.request is None else self._verified(held, asked, asked.request)
        decision = allowed(held.policy, requester, asked.act, capability, asked.subject)
        if not decision.yes:
            raise NotAuthorized(f"This was refused: {decision.why}.")
        return requester

    def take(self, held: Held, request: SignedRequest, by: str) -> bool:
        """Take a request that was found good; False if another has taken it before. Raises `NotAuthorized`."""
        return self.records.use(request.nonce, by, count_of(self._verify, held.policy, request))

    def _verified(self, held: Held, asked: Asked, request: SignedRequest) -> Principal:
        facing = Facing(
            installation=self._installation,
            namespace=activity.info().namespace,
            act=asked.act,
            workflow_type=asked.workflow_type,
            workflow_id=asked.workflow_id,
            input_sha256=asked.input_sha256,
            run_id=asked.run_id,
        )
        wrong = mismatch(request, facing, asked.at)
        if wrong is not None:
            raise NotAuthorized(f"This was refused: {wrong}.")
        found = spoken(held.policy, request)
        if not isinstance(found, Spoken):
            raise NotAuthorized(f"This was refused: {found}.")
        if not self._verify(found.key, statement(request), request.signature):
            raise NotAuthorized("This was refused: the request's signature is not good.")
        return found.principal

    def refuse(self, operation: str, step: str, act: Act, subject: str, refused: RedoubtError) -> None:
        """Put a refusal into the evidence."""
        who = "unverified" if self._presented() else UNKNOWN.name
        facts: dict[str, JsonValue] = {"act": act, "why": refused.detail[:1000]}
        self.note(operation, f"refused/{step}", Event.AUTHORIZATION_REFUSED, subject, who, facts)

    def note(  # noqa: PLR0913, PLR0917 - an entry is all of these
        self, operation: str, step: str, what: Event, subject: str, who: str, facts: dict[str, JsonValue]
    ) -> None:
        self.journal.note(
            Entry(
                operation=operation[:200],
                step=step[:200],
                kind=Kind.NOTE,
                what=what,
                subject=subject[:500],
                who=who,
                run=this_run(),
                at=datetime.now(UTC),
                facts=facts,
            )
        )


def here() -> str:
    """What the evidence of a run's own decisions stands under, whether it has an operation or not."""
    return f"authorization/{this_run()}"

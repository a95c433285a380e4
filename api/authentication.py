"""Who asks, and whether they may: asked before every route of the API that shows or does something.

- Without a policy nobody may anything; who shows nothing, or nothing good, gets 401, who may not gets 403.
- Authenticators are asked in order: a token before the connection's certificate. The first that is shown something
  decides; nobody falls back to being someone else.
- The client certificate comes from the connection (`scope["extensions"]["tls"]`), never from a header.
- Each decision is evidence before it has an effect; where it can't be recorded there is no answer (503). Refusals,
  which have none, are counted where they come in numbers (`api.refusals`). A request that shows nothing at all is in
  the log only: it says nothing of anybody.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from fastapi import Request

from activities.policies import Held
from api.refusals import Refusals
from clients.identities import Authenticator, Presented
from rules.roles import allowed
from schemas.errors import NotAllowed, NotAuthenticated, NotAuthorized
from schemas.evidence import Entry, Event, Kind
from schemas.policies import Decision
from schemas.principals import Act, Principal

_UNVERIFIED = "unverified"


class Caller(NamedTuple):
    """Somebody who has shown who they are, under the policy that held then."""

    principal: Principal
    held: Held

    def may(self, act: Act, capability: str, subject: str) -> Decision:
        return allowed(self.held.policy, self.principal, act, capability, subject)

    def has_a_role(self) -> bool:
        return any(self.principal.name in grant.principals for grant in self.held.policy.grants)


class Door:
    def __init__(
        self,
        policy: Callable[[], Held | None],
        authenticators: Sequence[Authenticator],
        record: Callable[[Entry], None],
    ) -> None:
        self._policy = policy
        self._authenticators = authenticators
        self._record = record
        self._refusals = Refusals(record)

    async def caller(self, request: Request, act: Act) -> Caller:
        """Raises `NotAuthenticated`, `NotAuthorized` where no policy holds, `DependencyUnavailable`."""
        presented = _presented(request)
        try:
            return await self._identified(presented)
        except NotAuthenticated as refused:
            if presented != Presented():
                decision = Decision(yes=False, why=refused.detail)
                await self._note(request, _UNVERIFIED, act, "", decision, {})
            raise

    async def admit(self, request: Request, act: Act, capability: str, subject: str) -> Caller:
        """Who asks, if they may. Raises `NotAllowed`, and as `caller` does."""
        caller = await self.caller(request, act)
        await self.settle(request, caller, act, subject, caller.may(act, capability, subject))
        return caller

    async def settle(
        self, request: Request, caller: Caller, act: Act, subject: str, decision: Decision
    ) -> None:
        """Record a decision, and raise `NotAllowed` if it is no."""
        facts = {"shown": caller.principal.shown.value, "policy_sha256": caller.held.sha256}
        await self._note(request, caller.principal.name, act, subject, decision, facts)
        if not decision.yes:
            raise NotAllowed(f"This was refused: {decision.why}.")

    async def close(self) -> None:
        """When the server stops."""
        await self._refusals.close()

    async def _identified(self, presented: Presented) -> Caller:
        held = await asyncio.to_thread(self._policy)
        if held is None:
            raise NotAuthorized("The settings name no policy, so nobody may use the API.")
        for authenticator in self._authenticators:
            principal = await authenticator.principal(held.policy, presented)
            if principal is not None:
                return Caller(principal, held)
        raise NotAuthenticated("The request shows nothing that is taken here.")

    async def _note(  # noqa: PLR0913, PLR0917 - a decision is all of these
        self, request: Request, who: str, act: Act, subject: str, decision: Decision, facts: dict[str, str]
    ) -> None:
        address = request.client.host if request.client else "unknown"
        entry = Entry(
            operation=f"api-{uuid.uuid4()}",
            step=f"api/{act}",
            kind=Kind.NOTE,
            what=Event.AUTHORIZATION_ALLOWED if decision.yes else Event.AUTHORIZATION_REFUSED,
            subject=subject[:500] or "api",
            who=who,
            correlation_id=request.state.correlation_id,
            at=datetime.now(UTC),
            facts={
                **facts,
                "act": act.value,
                "why": decision.why[:1000],
                "from": address,
            },
        )
        if decision.yes:
            await asyncio.to_thread(self._record, entry)
        else:
            await self._refusals.note(entry, address)


def _presented(request: Request) -> Presented:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    tls = request.scope.get("extensions", {}).get("tls") or {}
    chain = tls.get("client_cert_chain") or [None]
    return Presented(bearer=bearer, client_certificate=chain[0])

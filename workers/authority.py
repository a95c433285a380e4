"""Who may do what, wired: the policy and its records, the gate, and the workers' own signature."""
# ruff: noqa: PLC0415 - each library loads when its part is first asked for

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rules.requests import LONGEST, SERVICE, Facing, input_digest
from schemas.catalogue import WORKFLOW_TYPES
from schemas.contract import Contract, WorkflowInput
from schemas.errors import DependencyUnavailable
from schemas.principals import Act, Principal, Shown, SignedRequest
from schemas.settings import Settings
from schemas.settings.api import OidcIssuerSettings
from workers.once import Once

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from temporalio.client import Client

    from activities.authorizing import Gate
    from activities.judging import Judge
    from activities.policies import Policies
    from activities.room import Room
    from activities.steering import Steering
    from clients.identities import Authenticator
    from clients.identities.oidc import Issuer
    from clients.secrets import SecretSource
    from store import Journal
    from store.policies import PolicyRecords

_PATIENCE: Final = timedelta(seconds=10)


class Authority:
    def __init__(
        self,
        settings: Settings,
        engine: Callable[[], "Engine"],
        journal: Callable[[], "Journal"],
        secrets: Callable[[], "SecretSource"],
        client: Callable[[str], Awaitable["Client"]],
    ) -> None:
        """`client`: of a capability's namespace."""
        self._settings: Final = settings
        self._engine = engine
        self._journal = journal
        self._secrets = secrets
        self._client = client
        self._once = Once()

    def records(self) -> "PolicyRecords":
        from store.sql.policies import SqlPolicies

        return self._once.get("records", lambda: SqlPolicies(self._engine()))

    def policies(self) -> "Policies":
        return self._once.get("policies", self._policies)

    def _policies(self) -> "Policies":
        from activities.policies import Policies
        from clients.identities.signing_keys import verify
        from clients.policies.files import policy_of

        root, installation = self._settings.policy.root_sha256, self._settings.installation
        return Policies(self.records(), root, installation, policy_of, verify)

    def gate(self) -> "Gate":
        return self._once.get("gate", self._gate)

    def _gate(self) -> "Gate":
        from activities.authorizing import Gate

        return Gate(self._judge(), self._taken_up)

    def steering(self) -> "Steering":
        from activities.steering import Steering

        return self._once.get("steering", lambda: Steering(self._judge()))

    def _judge(self) -> "Judge":
        return self._once.get("judge", self._made_judge)

    def _made_judge(self) -> "Judge":
        from activities.judging import Judge
        from clients.identities.signing_keys import verify
        from clients.temporal.requests import presented

        installation, journal = self._settings.installation, self._journal()
        return Judge(self.policies(), self.records(), journal, installation, verify, presented)

    def room(self) -> "Room":
        from activities.room import Room
        from store.sql.beginnings import SqlBeginnings

        beginnings, journal = SqlBeginnings(self._engine()), self._journal()
        return self._once.get("room", lambda: Room(self.policies(), beginnings, journal, f"{SERVICE}limits"))

    def authenticators(self) -> "list[Authenticator]":
        """A token before the connection's certificate."""
        from clients.identities.api_keys import ApiKeys
        from clients.identities.client_certificates import ClientCertificates
        from clients.identities.oidc import OidcTokens

        issuers = [self._issuer(given) for given in self._settings.api.oidc.values()]
        return [ApiKeys(), OidcTokens(issuers), ClientCertificates()]

    def _issuer(self, given: OidcIssuerSettings) -> "Issuer":
        from clients.egress.client import EgressClient
        from clients.identities.key_sets import KeySet
        from clients.identities.oidc import Issuer

        egress = EgressClient(self._settings.egress.allow, given.ca_file)
        return Issuer(given.issuer, given.audience, given.algorithms, KeySet(given.issuer, egress))

    def _taken_up(self) -> datetime:
        """In an activity's thread: it is asked seldom, so it has a connection of its own each time."""
        from temporalio import activity
        from temporalio.service import RPCError

        info = activity.info()

        async def asked() -> datetime:
            client = await self._client(WORKFLOW_TYPES[info.workflow_type or ""].capability)
            run = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
            try:
                return (await run.describe(rpc_timeout=_PATIENCE)).start_time
            except RPCError as refused:
                raise DependencyUnavailable("Temporal does not say when this run was started.") from refused

        return asyncio.run(asked())

    def signed(
        self, workflow_type: str, given: WorkflowInput, on_behalf_of: str = ""
    ) -> SignedRequest | None:
        """By the workers' own key, for the service of the workflow type's capability; None without a key.

        `on_behalf_of`: the operation that starts it; "" if it is nobody's.
        """
        return self._signed(Act.START, workflow_type, given, given, on_behalf_of=on_behalf_of)

    def signed_update(
        self, act: Act, workflow_type: str, subject: WorkflowInput, given: Contract, run_id: str
    ) -> SignedRequest | None:
        """The same for an update of one run; `subject`: an input of the run that is told."""
        return self._signed(act, workflow_type, subject, given, run_id=run_id)

    def _signed(  # noqa: PLR0913  # a request is all of these
        self,
        act: Act,
        workflow_type: str,
        subject: WorkflowInput,
        given: Contract,
        *,
        run_id: str = "",
        on_behalf_of: str = "",
    ) -> SignedRequest | None:
        from clients.identities.requesting import signed_request
        from clients.signers.file import FileSigner

        reference, kind = self._settings.policy.service_key, WORKFLOW_TYPES[workflow_type]
        if reference is None:
            return None
        signer = self._once.get("service key", lambda: FileSigner("own", reference, self._secrets()))
        facing = Facing(
            installation=self._settings.installation,
            namespace=self._settings.temporal.namespace_of(kind.capability),
            act=act,
            workflow_type=workflow_type,
            workflow_id=kind.workflow_id(subject),
            input_sha256=input_digest(given),
            run_id=run_id,
        )
        who = Principal(name=f"{SERVICE}{kind.capability}", shown=Shown.SERVICE)
        return signed_request(signer, who, facing, LONGEST, on_behalf_of)

"""Who may do what, wired: the policy and its records, the gate, and the workers' own signature."""
# ruff: noqa: PLC0415 - each library loads when its part is first asked for

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rules.requests import LONGEST, SERVICE, Facing, input_digest
from schemas.catalogue import WORKFLOW_TYPES
from schemas.contract import Contract, WorkflowInput
from schemas.principals import Act, Principal, Shown, SignedRequest
from schemas.settings import Settings
from schemas.settings.api import OidcIssuerSettings
from workers.once import Once

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from activities.authorizing import Gate
    from activities.policies import Policies
    from activities.room import Room
    from clients.identities import Authenticator
    from clients.identities.oidc import Issuer
    from clients.secrets import SecretSource
    from store import Journal
    from store.policies import PolicyRecords


class Authority:
    def __init__(
        self,
        settings: Settings,
        engine: Callable[[], "Engine"],
        journal: Callable[[], "Journal"],
        secrets: Callable[[], "SecretSource"],
    ) -> None:
        self._settings: Final = settings
        self._engine = engine
        self._journal = journal
        self._secrets = secrets
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
        from clients.identities.signing_keys import verify
        from clients.temporal.requests import presented

        installation, journal = self._settings.installation, self._journal()
        return Gate(self.policies(), self.records(), journal, installation, verify, presented)

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

    def signed(self, workflow_type: str, given: WorkflowInput) -> SignedRequest | None:
        """By the workers' own key, for the service of the workflow type's capability; None without a key."""
        return self._signed(Act.START, workflow_type, given, given)

    def signed_update(
        self, act: Act, workflow_type: str, subject: WorkflowInput, given: Contract
    ) -> SignedRequest | None:
        """The same for an update; `subject`: an input of the run that is told."""
        return self._signed(act, workflow_type, subject, given)

    def _signed(
        self, act: Act, workflow_type: str, subject: WorkflowInput, given: Contract
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
        )
        who = Principal(name=f"{SERVICE}{kind.capability}", shown=Shown.SERVICE)
        return signed_request(signer, who, facing, LONGEST)

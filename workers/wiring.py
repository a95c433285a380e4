"""From settings to the clients that the settings name; of what has many kinds, the modules beside this one know each.

Each part is built when it is first asked for, once for the process, and its library is imported then: a pool
loads only what it uses. Nothing here has an effect outside the process before a part is used.
"""
# ruff: noqa: PLC0415 - each library loads when its part is first asked for

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from rules import dependencies
from schemas.errors import (
    CaUnavailable,
    DependencyUnavailable,
    InvalidSettings,
    KeyStoreUnavailable,
    RedoubtError,
    TargetUnreachable,
    UnknownSubject,
)
from schemas.settings import Settings
from schemas.settings.issuers import AcmeIssuer, LocalIssuer, ManualIssuer, VaultPkiIssuer
from schemas.settings.key_stores import Pkcs11Store
from schemas.settings.targets import TargetSettings
from schemas.settings.vault import VaultServer
from workers.endings import Endings
from workers.once import Once

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from temporalio.client import Client
    from temporalio.common import MetricMeter
    from temporalio.runtime import Runtime

    from activities.approving import ApprovalGate
    from activities.certificates.steps import Surroundings
    from activities.policies import Policies
    from clients.breakers.breaker import Breakers
    from clients.challenges import ChallengeSolver
    from clients.dns import Resolver
    from clients.egress import Egress
    from clients.issuers import Issuer
    from clients.issuers.caa import CaaCheck
    from clients.keystores import KeyStore
    from clients.keystores.software import SoftwareKeyStore
    from clients.probes import Prober
    from clients.revocation import Revocations
    from clients.runs import Runs
    from clients.secrets import SecretSource
    from clients.secrets.vault_session import VaultSession
    from clients.targets import Target
    from clients.temporal.codec import RedoubtCodec
    from clients.temporal.keyring import KeyRing
    from clients.temporal.plugin import RedoubtPlugin
    from store import Log
    from store.spool import Spool
    from store.sql.journal import SqlJournal
    from workers.authority import Authority

T = TypeVar("T")


class Wiring:
    def __init__(self, settings: Settings, service: str = "redoubt") -> None:
        self.settings: Final = settings
        self._service = service
        self._once = Once()
        self._endings = Endings()
        self.meter: MetricMeter | None = None
        """The runtime's, in a worker process: set before any activity is built."""
        self.runs: Final[dict[str, Runs]] = {}
        """By capability, in a worker process: set before its activities are built."""

    def close(self) -> None:
        """Before the process ends: give back what would outlive it. What is asked for later begins anew."""
        self._endings.run()

    # --- secrets and keys -----------------------------------------------------------------------------

    def secrets(self) -> "SecretSource":
        """Every value that it hands out is blanked in the logs from then on."""
        return self._once.get("secrets", self._secrets)

    def _secrets(self) -> "SecretSource":
        from clients.breakers.guarding import GuardedSecrets
        from clients.secrets.resolver import Secrets
        from clients.telemetry import HidingSource

        source, address = Secrets(), os.environ.get("VAULT_ADDR")
        if not address:
            return HidingSource(source)
        return HidingSource(GuardedSecrets(source, self.breakers().of(dependencies.of_vault(address))))

    def breakers(self) -> "Breakers":
        """Those of the dependencies that were wired so far."""
        return self._once.get("breakers", self._breakers)

    def _breakers(self) -> "Breakers":
        from clients.breakers.breaker import Breakers

        return Breakers(self.settings.breakers)

    def _guarded(self, dependency: str, inner: T, away: type[RedoubtError], *free: str) -> T:
        """Behind the dependency's breaker: `away` counts; the methods in `free` ask nobody, or must not wait."""
        from clients.breakers.guarding import guarded

        return guarded(inner, self.breakers().of(dependency), away, free=frozenset(free))

    def key_store(self, name: str) -> "KeyStore":
        return self._once.get(("key store", name), lambda: self._key_store(name))

    def _key_store(self, name: str) -> "KeyStore":
        given = _named(self.settings.key_stores, name, "key store")
        if not isinstance(given, Pkcs11Store):
            return self._software_store(name)
        from clients.keystores.pkcs11 import Pkcs11KeyStore

        store = Pkcs11KeyStore(name, given.module, given.token, lambda: self.secrets().resolve(given.pin))
        return self._guarded(dependencies.of_token(given), store, KeyStoreUnavailable, "check", "uri")

    def _software_store(self, name: str) -> "SoftwareKeyStore":
        from clients.keystores.software import SoftwareKeyStore

        given = _named(self.settings.key_stores, name, "key store")
        if isinstance(given, Pkcs11Store):
            raise InvalidSettings(
                f"codec.key_store names {name!r}, a PKCS#11 token; it takes a software key store."
            )
        return SoftwareKeyStore(name, Path(given.path), self.secrets().resolve(given.master_key))

    def vault(self, given: VaultServer) -> "VaultSession":
        """One log-in for all that is at the same Vault by the same way in: a wrapped secret ID is good for once."""
        return self._once.get(("vault", given), lambda: self._vault(given))

    def _vault(self, given: VaultServer) -> "VaultSession":
        from clients.secrets.vault_session import VaultSession

        session = VaultSession("this worker", given, self.secrets())
        self._endings.add(f"log-in to {session.address}", session.close)
        return session

    # --- certificates ---------------------------------------------------------------------------------

    def issuer(self, name: str) -> "Issuer":
        return self._once.get(("issuer", name), lambda: self._behind_breaker(name))

    def _behind_breaker(self, name: str) -> "Issuer":
        issuer = self._issuer(name)
        dependency = dependencies.of_issuer(self.settings.issuers[name])
        if dependency is None:
            return issuer
        # A rehearsal is held at another CA, and says nothing of this one.
        free = ("trust_anchors", "renewal_info", "can_rehearse", "rehearse", "withdraw")
        return self._guarded(dependency, issuer, CaUnavailable, *free)

    def _issuer(self, name: str) -> "Issuer":
        given = _named(self.settings.issuers, name, "issuer")
        if isinstance(given, AcmeIssuer):
            from clients.issuers.acme import AcmeIssuer as Acme

            account_key = self.secrets().resolve(given.account_key)
            eab = None if given.eab is None else self.secrets().resolve(given.eab.hmac_key).decode()
            coming = given.next_account_key
            following = None if coming is None else self.secrets().resolve(coming)
            solver = self.challenge(given.challenge)
            allow, caa = self.settings.egress.allow, self._caa_check(name, given, solver)
            return Acme(
                name, given, account_key, solver, eab, next_account_pem=following, allow=allow, caa=caa
            )
        if isinstance(given, VaultPkiIssuer):
            from clients.issuers.vault_pki import VaultPki

            return VaultPki(name, given, self.vault(given.vault))
        if isinstance(given, ManualIssuer):
            from clients.issuers.manual import ManualIssuer as Manual

            return Manual(name, given)
        from clients.issuers.local import LocalCa

        return LocalCa(name, given, self.key_store(given.key_store))

    def _caa_check(self, name: str, given: AcmeIssuer, solver: "ChallengeSolver") -> "CaaCheck":
        from clients.issuers.caa import CaaCheck

        return CaaCheck(name, given.caa_identities, solver.kind, self.resolver())

    def resolver(self) -> "Resolver":
        from clients.dns.resolver import DnsResolver

        return self._once.get(
            "resolver",
            lambda: self._guarded(
                dependencies.DNS, DnsResolver(self.settings.resolver), DependencyUnavailable
            ),
        )

    def egress(self) -> "Egress":
        """For URLs that came from outside, verified by the system's roots."""
        from clients.egress.client import EgressClient

        return self._once.get("egress", lambda: EgressClient(self.settings.egress.allow))

    def revocations(self) -> "Revocations":
        from clients.revocation.crl import RevocationLists
        from workers.revocations import fetched

        def fetch(url: str) -> bytes:
            return fetched(url, self.settings.issuers, self.issuer, self.egress)

        return self._once.get("revocations", lambda: RevocationLists(fetch))

    def challenge(self, name: str) -> "ChallengeSolver":
        from workers.challenges import made

        given = _named(self.settings.challenges, name, "challenge")
        return self._once.get(
            ("challenge", name), lambda: made(given, self.settings.resolver, self.secrets())
        )

    def target(self, given: TargetSettings) -> "Target":
        from workers.targets import made as client

        def made() -> "Target":
            # Putting back must not wait for a breaker: it is tried however often going forward has failed.
            dependency = dependencies.of_target(given)
            return self._guarded(
                dependency, client(given, self.secrets(), self.vault), TargetUnreachable, "switch_back"
            )

        return self._once.get(("target", given), made)

    def prober(self) -> "Prober":
        from clients.probes.tls import TlsProber

        return self._once.get("prober", TlsProber)

    def certificate_surroundings(self) -> "Surroundings":
        from activities.certificates.measures import Measures
        from activities.certificates.steps import Surroundings
        from clients.seals.ring import RingSeals
        from clients.x509 import X509Reader

        return Surroundings(
            inventory=self.settings.certificates,
            journal=self.journal(),
            reader=X509Reader(),
            prober=self.prober(),
            issuer=self.issuer,
            key_store=self.key_store,
            target=self.target,
            gate=self.authority().gate(),
            signed=self.authority().signed,
            signed_update=self.authority().signed_update,
            runs=lambda: self.runs["certificates"],
            approvals=self.approval_gate(),
            room=self.authority().room(),
            seals=RingSeals(self.key_ring),
            steering=self.authority().steering(),
            revocations=self.revocations(),
            distrusted=frozenset(self.settings.distrusted_issuers),
            replacement=self.settings.replacement,
            list_keepers=tuple(
                name for name, given in self.settings.issuers.items() if isinstance(given, LocalIssuer)
            ),
            measures=Measures() if self.meter is None else Measures(self.meter),
        )

    # --- who may do what ------------------------------------------------------------------------------

    def authority(self) -> "Authority":
        from workers.authority import Authority

        def made() -> Authority:
            return Authority(self.settings, self.engine, self.journal, self.secrets, self.client)

        return self._once.get("authority", made)

    def policies(self) -> "Policies":
        return self.authority().policies()

    def approval_gate(self) -> "ApprovalGate":
        return self._once.get("approval gate", self._approval_gate)

    def _approval_gate(self) -> "ApprovalGate":
        from activities.approving import ApprovalGate
        from clients.signers.verifying import SignatureVerifier
        from store.sql.approvals import SqlApprovals
        from workers.acting import acting

        approvals = SqlApprovals(self.engine(), self._service, acting)
        installation = self.settings.installation
        return ApprovalGate(approvals, self.policies(), self.journal(), SignatureVerifier(), installation)

    # --- records --------------------------------------------------------------------------------------

    def engine(self) -> "Engine":
        return self._once.get("engine", self._engine)

    def _engine(self) -> "Engine":
        from store.sql.engine import connect

        password = self.settings.store.password
        return connect(
            self.settings.store.url, None if password is None else self.secrets().resolve(password)
        )

    def spool(self) -> "Spool":
        return self._once.get("spool", self._spool)

    def _spool(self) -> "Spool":
        from store.spool import Spool

        given = self.settings.evidence
        return Spool(Path(given.spool), self.secrets().resolve(given.spool_key))

    def journal(self) -> "SqlJournal":
        return self._once.get("journal", self._journal)

    def _journal(self) -> "SqlJournal":
        from store.sql.journal import SqlJournal
        from workers.acting import acting

        return SqlJournal(self.engine(), self.spool(), self._service, acting)

    def log(self) -> "Log":
        """Needs the log's key: for the audit pool alone."""
        return self._once.get("log", self._log)

    def _log(self) -> "Log":
        from store.signing import seed_from
        from store.sql.log import SqlLog

        given = self.settings.evidence
        return SqlLog(self.engine(), given.origin, seed_from(self.secrets().resolve(given.log_key)))

    def replay_spool(self) -> int:
        from store.spool import replay_spool

        return replay_spool(self.journal())

    def check_records(self) -> None:
        """That the journal can be written now: a write transaction is begun and ended."""
        from store.sql.engine import writing

        with writing(self.engine()):
            return

    def check_schema(self) -> None:
        from store.sql.migrations import check_version

        check_version(self.engine())

    # --- Temporal -------------------------------------------------------------------------------------

    def key_ring(self) -> "KeyRing":
        return self._once.get("key ring", self._key_ring)

    def _key_ring(self) -> "KeyRing":
        from clients.temporal.keyring import KeyRing

        return KeyRing(self._software_store(self.settings.codec.key_store), self.settings.codec.scope)

    def codec(self) -> "RedoubtCodec":
        from clients.temporal.codec import RedoubtCodec

        return self._once.get("codec", lambda: RedoubtCodec(self.key_ring()))

    def plugin(self) -> "RedoubtPlugin":
        return self._once.get("plugin", self._plugin)

    def _plugin(self) -> "RedoubtPlugin":
        from clients.telemetry import start_tracing
        from clients.temporal.plugin import RedoubtPlugin
        from clients.temporal.spans import Spans

        provider = start_tracing(self.settings.telemetry, service=self._service)
        if provider is None:
            return RedoubtPlugin(self.codec(), spans=None)
        self._endings.add("last spans", provider.shutdown)
        return RedoubtPlugin(self.codec(), spans=Spans(provider))

    async def client(self, capability: str, runtime: "Runtime | None" = None) -> "Client":
        """The client of the capability's namespace. Raises `DependencyUnavailable` when Temporal is away."""
        from clients.temporal.connect import connect

        namespace = self.settings.temporal.namespace_of(capability)
        return await connect(self.settings.temporal, namespace, self.secrets(), self.plugin(), runtime)


def _named(among: Mapping[str, T], name: str, what: str) -> T:
    if name not in among:
        raise UnknownSubject(
            f"The settings define no {what} {name!r}; defined are: {', '.join(among) or 'none'}."
        )
    return among[name]

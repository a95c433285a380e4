"""At the certificate authority: key and request, order, proof of control, finalization, and a check of the answer."""

import base64
import hashlib
from datetime import UTC, datetime

from pydantic import JsonValue
from temporalio import activity

from activities import clock
from activities.beating import beats
from activities.certificates import proofs
from activities.certificates.issued import KnownCertificates
from activities.certificates.proofs import AUTHORIZE, PROOFS
from activities.certificates.standing import issued_by, order_of, refuse_if_too_early
from activities.certificates.steps import forward
from clients.challenges import Proof
from clients.issuers import Order, Rehearses, ShowsProofs, SuggestsRenewal
from rules import certificates as rules
from rules.patience import worth_waiting
from rules.points import reached
from schemas.certificates import CertificateFacts, Done, IssuedCertificate, RenewalPlan, StepInput
from schemas.errors import CaRefused, CaUnavailable, CertificateRejected, RedoubtError
from schemas.evidence import Event


class IssuingActivities(KnownCertificates):
    @activity.defn
    @beats
    @forward("key/{group}")
    def make_key(self, step: StepInput) -> Done:
        """Make the new key where it will stay, and the request that it signs."""
        plan = self._planned(step)

        def effect() -> dict[str, JsonValue]:
            key_id = _key_id(step)
            csr = self._request(plan, step.group, key_id)
            reached("key.made")
            key = self._around.reader.requested_key(csr)
            return {"key_id": key_id, "csr": base64.b64encode(csr).decode(), "public_key_sha256": key}

        facts: dict[str, JsonValue] = {"holder": plan.key_holder, "algorithm": plan.key_algorithm}
        result = self._once(step.operation, f"key/{step.group}", Event.KEY_GENERATED, facts, effect)
        return Done(words=f"public key {str(result['public_key_sha256'])[:16]}…")

    @activity.defn
    @beats
    @forward("issued/{group}/{issuer}/{attempt}")
    def obtain_certificate(self, step: StepInput) -> IssuedCertificate:
        """Order from the CA and bring home a certificate that was checked.

        One activity, four steps of the journal: an attempt goes on where the last one ended (docs/adr/0012).
        """
        plan = self._planned(step)
        try:
            issued = self._brought(plan, step) or self._obtained(plan, step)
        except CaUnavailable as error:
            # The last issuer is waited for: there is nobody else.
            error.given_up = step.issuer != plan.issuers[-1] and not _in_time(error, plan.issuer_patience_s)
            raise
        self._around.measures.issued(plan.certificate, issued.issuer)
        return issued

    def _brought(self, plan: RenewalPlan, step: StepInput) -> IssuedCertificate | None:
        """What an order has brought for this group already, whichever it was: there is no second certificate.

        A run that goes forward once more, or takes the operation up, begins with the first issuer again.
        """
        steps = {one.step: one.result for one in self._around.journal.steps(plan.operation)}
        group = f"issued/{step.group}/"
        found = next((name for name, result in steps.items() if result and name.startswith(group)), None)
        if found is None:
            return None
        _, _, issuer, attempt = found.split("/")
        if issuer in self._around.distrusted and not self._verified(plan):
            raise CaRefused(f"What was issued is of {issuer}, which is in `distrusted_issuers`.")
        own = step.model_copy(update={"issuer": issuer, "attempt": int(attempt)})
        ordered = steps.get(f"order/{order_of(own)}") or {}
        return self._as_issued(plan, own, str(ordered.get("url")), nameless=_nameless(ordered))

    def _obtained(self, plan: RenewalPlan, step: StepInput) -> IssuedCertificate:
        refuse_if_too_early(self._around.journal, plan, step, issued_by(step))
        self._rehearse(plan, step)
        url, nameless = self._ordered(plan, step)
        proofs.withdraw_given_up(self._around, step.operation, going_on=order_of(step))
        self._authorize(step, url)
        self._finalize(step, url)
        return self._as_issued(plan, step, url, nameless=nameless)

    def _as_issued(
        self, plan: RenewalPlan, step: StepInput, url: str, *, nameless: bool
    ) -> IssuedCertificate:
        facts = self._collect(plan, step, url)
        return IssuedCertificate(issuer=step.issuer, attempt=step.attempt, facts=facts, caa_unknown=nameless)

    def _rehearse(self, plan: RenewalPlan, step: StepInput) -> None:
        """Before the first order of a new name: what is wrong with it shall not count against the CA's limits.

        A CA for rehearsals that is away is no reason to wait: the evidence says that none was held.
        """
        issuer, name = self._around.issuer(step.issuer), f"rehearse/{order_of(step)}"
        if not isinstance(issuer, Rehearses) or not issuer.can_rehearse():
            return
        if self._around.journal.result(step.operation, name) is not None:
            return
        known = {had for one in self._issued_before(plan.certificate) for had in one.facts.names}
        if known.issuperset(plan.names):
            return

        def effect() -> dict[str, JsonValue]:
            try:
                issuer.rehearse(plan.names, self._csr(step), activity.heartbeat)
            except CaUnavailable as error:
                activity.logger.warning("no rehearsal of %s: %s", plan.certificate, error.in_full)
                return {"held": False, "why": error.detail}
            return {"held": True}

        facts: dict[str, JsonValue] = {"issuer": step.issuer, "names": list(plan.names)}
        self._once(step.operation, name, Event.CERTIFICATE_REHEARSED, facts, effect)

    def _csr(self, step: StepInput) -> bytes:
        return base64.b64decode(str(self._result(step.operation, f"key/{step.group}")["csr"]))

    def _ordered(self, plan: RenewalPlan, step: StepInput) -> tuple[str, bool]:
        """Have the CA open an order and keep its URL. Killed between the two, it leaves an order without effect.

        Returns with the URL whether it is not known by which names the CA knows itself in CAA records.
        """
        facts: dict[str, JsonValue] = {"issuer": step.issuer, "names": list(plan.names)}

        def effect() -> dict[str, JsonValue]:
            placed = self._placed(plan, step)
            caa: JsonValue = None if placed.caa is None else list(placed.caa)
            return {"url": placed.url, "replaces": placed.replaces, "caa": caa}

        result = self._once(
            step.operation, f"order/{order_of(step)}", Event.CERTIFICATE_ORDERED, facts, effect
        )
        reached("order.stored")
        return str(result["url"]), _nameless(result)

    def _placed(self, plan: RenewalPlan, step: StepInput) -> Order:
        """Tell the CA which certificate is replaced, where it was this CA's; another CA can't be told (RFC 9773)."""
        self._settings(plan.certificate)  # nothing new is ordered for what was taken out of them
        issuer = self._around.issuer(step.issuer)
        group = next(one for one in plan.groups if one.name == step.group)
        previous = {plan.previous.get(name) for name in group.targets}
        if isinstance(issuer, SuggestsRenewal):
            for known in self._issued_before(plan.certificate):
                if known.issuer == step.issuer and known.facts.fingerprint in previous:
                    return issuer.place_replacement(plan.names, known.chain)
        return issuer.place_order(plan.names)

    def _authorize(self, step: StepInput, url: str) -> None:
        facts: dict[str, JsonValue] = {"order": url}
        issuer, order = self._around.issuer(step.issuer), order_of(step)

        def keep(shown: tuple[Proof, ...]) -> None:
            names: list[JsonValue] = [*sorted({one.name for one in shown})]
            event, told = Event.CERTIFICATE_PROOFS_KEPT, {**facts, "names": names}
            self._around.journal.keep(step.operation, f"{PROOFS}{order}", event, told, proofs.kept(shown))

        def effect() -> dict[str, JsonValue]:
            if isinstance(issuer, ShowsProofs):
                return {"status": issuer.prove_control(url, activity.heartbeat, keep).status}
            return {"status": issuer.prove_control(url, activity.heartbeat).status}

        self._once(step.operation, f"{AUTHORIZE}{order}", Event.CERTIFICATE_AUTHORIZED, facts, effect)

    def _finalize(self, step: StepInput, url: str) -> None:
        """Send the stored request, the same bytes at each attempt, to the stored order."""
        csr = self._csr(step)

        def effect() -> dict[str, JsonValue]:
            return {"status": self._around.issuer(step.issuer).finalize(url, csr, activity.heartbeat).status}

        facts: dict[str, JsonValue] = {"order": url, "csr_sha256": hashlib.sha256(csr).hexdigest()}
        self._once(step.operation, f"finalize/{order_of(step)}", Event.CERTIFICATE_FINALIZED, facts, effect)

    def _collect(self, plan: RenewalPlan, step: StepInput, url: str) -> CertificateFacts:
        """Fetch what the CA issued and check it before it goes anywhere."""

        def effect() -> dict[str, JsonValue]:
            issuer = self._around.issuer(step.issuer)
            chain = issuer.certificate(url)
            facts = self._around.reader.read(chain, issuer.trust_anchors())
            self._refuse_if_wrong(plan, step, facts)
            return {"chain": chain.decode("ascii"), "facts": facts.model_dump(mode="json")}

        about: dict[str, JsonValue] = {"order": url, "issuer": step.issuer}
        result = self._once(
            step.operation, issued_by(step), Event.CERTIFICATE_ISSUED, about, effect, _without_chain
        )
        return CertificateFacts.model_validate(result["facts"])

    def _refuse_if_wrong(self, plan: RenewalPlan, step: StepInput, issued: CertificateFacts) -> None:
        key = str(self._result(step.operation, f"key/{step.group}")["public_key_sha256"])
        wrong = rules.problems(issued, plan.names, key, plan.previous.values(), clock.now())
        if wrong:
            facts: dict[str, JsonValue] = {"fingerprint": issued.fingerprint, "problems": list(wrong)}
            rejected = f"rejected/{order_of(step)}"
            self._around.journal.begin(step.operation, rejected, Event.CERTIFICATE_REJECTED, facts)
            self._around.journal.finish(step.operation, rejected, Event.CERTIFICATE_REJECTED, facts, facts)
            raise CertificateRejected(
                f"What {step.issuer} issued for {plan.certificate} is wrong: {'; '.join(wrong)}."
            )

    def _request(self, plan: RenewalPlan, group: str, key_id: str) -> bytes:
        settings = self._settings(plan.certificate)
        if plan.key_holder == "target":
            place = self._existing(plan, group)
            return self._around.target(place).make_key(key_id, settings.key.algorithm, plan.names)
        store = self._around.key_store(plan.key_holder)
        store.generate(bytes.fromhex(key_id), plan.certificate, settings.key.algorithm)
        return self._around.reader.request(store, bytes.fromhex(key_id), plan.names)


def _in_time(error: RedoubtError, patience_s: float) -> bool:
    """Whether the issuer is to be asked again while we are patient with it; one that does not say, is."""
    if error.retry_after_s is None:
        return True
    waited = datetime.now(UTC) - activity.info().scheduled_time
    return worth_waiting(waited.total_seconds(), error.retry_after_s, patience_s)


def _key_id(step: StepInput) -> str:
    """The same at each attempt, another in each operation: 20 bytes, as most tokens take them."""
    return hashlib.sha256(f"{step.operation}/{step.group}".encode()).hexdigest()[:40]


def _nameless(order: dict[str, JsonValue]) -> bool:
    """Whether it is not known by which names the CA knows itself in CAA records."""
    return order.get("caa") == []


def _without_chain(result: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The evidence names the certificate by its fingerprint and facts; the chain itself stays in the state."""
    return {name: value for name, value in result.items() if name != "chain"}

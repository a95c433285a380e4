"""The installed policy, believed link by link from the digest that the settings name.

- The settings' `policy.root_sha256` names the first version's bytes. Each later one must have been signed by as many
  admins as the version before it asks for. So who can write to the database can't bring in a policy.
- No `root_sha256`: an installation without a policy. A `root_sha256` without that version in the records, or a chain
  that breaks: nothing is allowed, which is not the same.
- The chain is verified once for the same rows; the records are asked each time, so a new version holds at once.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import NamedTuple

from clients.identities import Verifier
from clients.signers import Proof, counted
from rules import policies as rules
from rules.counters import Counted
from rules.requests import Spoken, key_of, spoken, statement
from schemas.errors import NotAuthorized, PolicyRefused
from schemas.policies import Policy, Signature
from schemas.principals import SignedRequest
from schemas.signing_keys import SigningKey
from store.policies import Installed, PolicyRecords


def count_of(verify: Verifier, policy: Policy, request: SignedRequest) -> Counted | None:
    """How often the FIDO2 key that has signed the request says that it has signed; None of another kind of key."""
    found, message = spoken(policy, request), statement(request)
    proof = verify(found.key, message, request.signature) if isinstance(found, Spoken) else None
    if proof is None or not isinstance(found, Spoken):
        return None
    return counted(found.key, message, proof, request.issued_at)


class Held(NamedTuple):
    """A version that was verified."""

    policy: Policy
    sha256: str


class Policies:
    def __init__(
        self,
        records: PolicyRecords,
        root_sha256: str | None,
        installation: str,
        read: Callable[[bytes], Policy],
        verify: Verifier,
    ) -> None:
        """`read` makes a policy of a file's bytes, or raises `PolicyRefused`."""
        self._records = records
        self._root = root_sha256
        self._installation = installation
        self._read = read
        self._verify = verify
        self._verified: tuple[tuple[Installed, ...], tuple[Held, ...]] = ((), ())

    @property
    def absent(self) -> bool:
        """Whether this installation has no policy and is to have none."""
        return self._root is None

    def current(self) -> Held | None:
        """None in an installation without a policy. Raises `NotAuthorized` if the one that must hold can't."""
        return None if self._root is None else self._chain()[-1]

    def newest(self) -> Held | None:
        """As `current`, for who works on the policy itself: None also while the first version is not installed."""
        return self.current() if self._root is not None and self._records.versions() else None

    def version(self, version: int) -> Held:
        """An earlier version, by which an operation was allowed. Raises `NotAuthorized`."""
        chain = self._chain()
        if not 1 <= version <= len(chain):
            raise NotAuthorized(f"Version {version} of the policy is not in the records.")
        return chain[version - 1]

    def judged(self, document: bytes, signatures: tuple[Signature, ...]) -> Policy:
        """The version that these bytes would be, if it may be installed now. Raises `PolicyRefused`."""
        if self._root is None:
            raise PolicyRefused(
                "The settings name no policy: set policy.root_sha256 to the first version's digest."
            )
        installed = self._records.versions()
        before = self._links(installed) if installed else ()
        return self._link(before, document, signatures).policy

    def _chain(self) -> tuple[Held, ...]:
        rows = self._records.versions()
        if not rows:
            raise NotAuthorized("The settings name a policy, and the records hold none: nothing is allowed.")
        try:
            return self._links(rows)
        except PolicyRefused as broken:
            raise NotAuthorized(f"The installed policy does not verify: {broken.in_full}") from None

    def _links(self, rows: tuple[Installed, ...]) -> tuple[Held, ...]:
        known, links = self._verified
        if rows == known:
            return links
        chain: tuple[Held, ...] = ()
        for row in rows:
            chain = (*chain, self._link(chain, row.document, row.signatures))
        self._verified = (rows, chain)
        return chain

    def _link(self, chain: tuple[Held, ...], document: bytes, signatures: tuple[Signature, ...]) -> Held:
        policy, sha256 = self._read(document), hashlib.sha256(document).hexdigest()
        if policy.installation != self._installation:
            raise PolicyRefused(
                f"The policy is of the installation {policy.installation}, and not of this one."
            )
        last = chain[-1] if chain else None
        wrong = rules.link(last and last.policy, last and last.sha256, policy)
        if wrong is not None:
            raise PolicyRefused(f"Version {policy.version} can't be used: {wrong}.")
        if last is None:
            if not hmac.compare_digest(sha256, self._root or ""):
                raise PolicyRefused("The first version is not the one whose digest policy.root_sha256 names.")
            return Held(policy, sha256)
        decision = rules.quorum(last.policy, self._signed_by(last.policy, document, signatures))
        if not decision.yes:
            raise PolicyRefused(f"Version {policy.version} can't be used: {decision.why}.")
        return Held(policy, sha256)

    def counts(self, document: bytes, signatures: tuple[Signature, ...]) -> tuple[Counted, ...]:
        """How often the FIDO2 keys that have signed these bytes say that they have signed, to be kept."""
        held, message = self.newest(), rules.statement(document)
        good = () if held is None else self._good(held.policy, message, signatures)
        found = (counted(key, message, proof, at=None) for key, proof in good)
        return tuple(one for one in found if one is not None)

    def _signed_by(
        self, before: Policy, document: bytes, signatures: tuple[Signature, ...]
    ) -> frozenset[str]:
        """The IDs of the keys of the version before whose signatures over these bytes are good."""
        return frozenset(key.id for key, _ in self._good(before, rules.statement(document), signatures))

    def _good(
        self, before: Policy, message: bytes, signatures: tuple[Signature, ...]
    ) -> Iterator[tuple[SigningKey, Proof]]:
        for one in signatures:
            found = key_of(before, one.key_id)
            proof = None if found is None else self._verify(found[1], message, one.signature)
            if found is not None and proof is not None:
                yield found[1], proof

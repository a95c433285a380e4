"""A target that is a secret in a store: the certificate, and beside it the key, as its readers need them.

    current          what readers use: chain, key, and the stamp of the step that wrote it
    staged/VERSION   the chain of a version, and which key it has
    key/ID           a private key that was made here
    fence            the newest stamp seen here

Rules and invariants:
- A key is made in this process's memory, is written to the store before anyone hears of it, and is dropped: it crosses
  no activity boundary and lies on no disk here. Afterwards it is only ever copied from the store into the store.
- Every write names the revision that it replaces. `current` is read first and the fence after it, so a step that was
  overtaken in between finds another revision than it has read, and looks at the fence again.
- An undo writes `current` even where nothing is to be put back: what a zombie has read before is worth nothing then.
- `current` is ours if it carries our stamp, or if there is a fence beside it. A secret that someone else has made is
  never replaced.
"""

from datetime import UTC, datetime, timedelta

from clients.targets import Bundle, Fence, keys
from clients.targets.shelves import CURRENT, FENCE, Document, Kept, Shelf
from rules.drift import difference
from rules.points import reached
from rules.versions import Stamp, admits, is_key_id, is_operation, is_version, superfluous
from schemas.errors import (
    CertificateRejected,
    Fenced,
    KeyNotFound,
    KeyUnsuitable,
    StillServed,
    TargetUnreachable,
)
from schemas.settings.key_stores import KeyAlgorithm

_TRIES = 20
"""How often another writer may be faster before we give up for now."""
_FORGOTTEN_KEY = timedelta(days=30)
"""A key that no version has used for so long belonged to an order that came to nothing."""


class SecretTarget:
    """The port `Target` on a shelf."""

    def __init__(self, name: str, shelf: Shelf, keep_versions: int) -> None:
        self.name = name
        self._shelf = shelf
        self._keep_versions = keep_versions

    def make_key(self, key_id: str, algorithm: KeyAlgorithm, names: tuple[str, ...]) -> bytes:
        self._refuse_foreign(self._shelf.get(CURRENT))
        place = self._key_place(key_id)
        kept = self._shelf.get(place)
        if kept is None or not kept.document.private_key:
            made = Document(
                private_key=keys.generate(algorithm).decode("ascii"), marks={"algorithm": algorithm}
            )
            # Another attempt may have been faster: then its key is the one.
            self._shelf.put(place, made, kept.revision if kept else None)
            reached("target.key_made")
        key = keys.load(self._key(key_id).encode("ascii"))
        if keys.algorithm_of(key) != algorithm:
            raise KeyUnsuitable(f"Target {self.name} holds a key of this ID that is not {algorithm}.")
        return keys.request(key, names)

    def stage(self, bundle: Bundle, fence: Fence) -> None:
        certificate = keys.leaf(bundle.fullchain)
        if keys.fingerprint(certificate) != bundle.version:
            raise CertificateRejected("The version's name is not its certificate's fingerprint.")
        if bundle.key_uri is not None:
            raise KeyUnsuitable(f"Target {self.name} makes its own keys: `key.holder` must be `target`.")
        self._refuse_foreign(self._shelf.get(CURRENT))
        self._admit(fence)
        if not keys.belong_together(certificate, keys.load(self._key(bundle.key_id).encode("ascii"))):
            raise CertificateRejected(f"The certificate is for another key than target {self.name} holds.")
        place = f"staged/{bundle.version}"
        kept = self._shelf.get(place)
        if kept is None or not kept.document.certificate:
            staged = Document(
                certificate=bundle.fullchain.decode("ascii"),
                marks={"key": bundle.key_id, "operation": fence.operation},
            )
            self._shelf.put(place, staged, kept.revision if kept else None)
        reached("target.staged")

    def current(self) -> str | None:
        version = _version(self._shelf.get(CURRENT))
        # What someone else has put there can't be gone back to: for us that is none.
        return version if version and self._staged(version) else None

    def read(self, version: str) -> bytes | None:
        staged = self._staged(version) if is_version(version) else None
        return staged.certificate.encode("ascii") if staged else None

    def drift(self, expected: str | None) -> str | None:
        kept = self._shelf.get(CURRENT)
        held = _version(kept)
        if held != expected or kept is None or held is None:
            return difference(held, expected)
        try:
            key = keys.load(kept.document.private_key.encode())
        except KeyUnsuitable:
            return "its key was changed"
        certificate = keys.leaf(kept.document.certificate.encode())
        return None if keys.belong_together(certificate, key) else "its key was changed"

    def switch(self, version: str, fence: Fence) -> None:
        self._use(version, fence)
        reached("target.switched")

    def switch_back(self, version: str | None, fence: Fence) -> None:
        self._use(version, fence)
        reached("target.restored")

    def retire(self, keep: tuple[str, ...], fence: Fence) -> None:
        self._admit(fence)
        staged = {name: self._shelf.get(f"staged/{name}") for name in self._shelf.names("staged")}
        there = {name: kept for name, kept in staged.items() if kept and is_version(name)}
        newest_first = sorted(there, key=lambda name: _age(there[name]), reverse=True)
        current = _version(self._shelf.get(CURRENT))
        for version in superfluous(
            newest_first, current=current, keep=keep, keep_versions=self._keep_versions
        ):
            self._shelf.delete(f"staged/{version}")
            del there[version]
        self._forget_keys({kept.document.marks.get("key", "") for kept in there.values()})
        self._shelf.forget_earlier(CURRENT)

    def destroy_key(self, key_id: str, fence: Fence) -> None:
        place = self._key_place(key_id)
        self._admit(fence)
        staged = {name: self._shelf.get(f"staged/{name}") for name in self._shelf.names("staged")}
        having = [name for name, kept in staged.items() if kept and kept.document.marks.get("key") == key_id]
        if _version(self._shelf.get(CURRENT)) in having:
            raise StillServed(f"Target {self.name} uses the key that is to be destroyed.")
        for name in having:
            self._shelf.delete(f"staged/{name}")
        self._shelf.forget_earlier(CURRENT)
        self._shelf.delete(place)

    def _use(self, version: str | None, fence: Fence) -> None:
        """Each turn reads `current` before the fence: the order is what shuts out a zombie."""
        for _ in range(_TRIES):
            kept = self._shelf.get(CURRENT)
            self._refuse_foreign(kept)
            self._admit(fence)
            wanted = self._wanted(version, fence)
            if kept is not None and kept.document == wanted:
                return
            if self._shelf.put(CURRENT, wanted, kept.revision if kept else None):
                return
        raise TargetUnreachable(f"Target {self.name}: others write to its secret without a pause.")

    def _wanted(self, version: str | None, fence: Fence) -> Document:
        marks = {"version": version or "", "operation": fence.operation, "epoch": str(fence.epoch)}
        if version is None:
            return Document(marks=marks)
        staged = self._staged(version) if is_version(version) else None
        if staged is None:
            raise TargetUnreachable(f"Target {self.name} does not hold the version that it is to switch to.")
        key = self._key(staged.marks.get("key", ""))
        return Document(certificate=staged.certificate, private_key=key, marks=marks)

    def _admit(self, fence: Fence) -> None:
        """Refuse an attempt that a later one has overtaken; else make its stamp durable before it acts."""
        if not is_operation(fence.operation):
            raise TargetUnreachable(f"Target {self.name}: the operation's ID can't be kept as a stamp.")
        asked = (fence.operation, fence.epoch)
        marks = {"operation": fence.operation, "epoch": str(fence.epoch)}
        for _ in range(_TRIES):
            kept = self._shelf.get(FENCE)
            newest = self._stamp(kept)
            if not admits(newest, asked):
                raise Fenced(f"Target {self.name} has seen a later step than this one.")
            if newest == asked:
                return
            if self._shelf.put(FENCE, Document(marks=marks), kept.revision if kept else None):
                reached("target.fenced")
                return
        raise TargetUnreachable(f"Target {self.name}: others write to its fence without a pause.")

    def _stamp(self, kept: Kept | None) -> Stamp | None:
        if kept is None:
            return None
        operation, epoch = kept.document.marks.get("operation", ""), kept.document.marks.get("epoch", "")
        if not is_operation(operation) or not epoch.isdecimal():
            raise TargetUnreachable(f"Target {self.name}: its fence was changed by someone else.")
        return operation, int(epoch)

    def _staged(self, version: str) -> Document | None:
        kept = self._shelf.get(f"staged/{version}")
        return kept.document if kept and kept.document.certificate else None

    def _key(self, key_id: str) -> str:
        kept = self._shelf.get(self._key_place(key_id))
        if kept is None or not kept.document.private_key:
            raise KeyNotFound(f"Target {self.name} holds no key of this ID.")
        return kept.document.private_key

    def _key_place(self, key_id: str) -> str:
        if not is_key_id(key_id):
            raise KeyNotFound(f"Target {self.name}: a key's ID is hexadecimal.")
        return f"key/{key_id}"

    def _forget_keys(self, used: set[str]) -> None:
        before = (datetime.now(UTC) - _FORGOTTEN_KEY).isoformat()
        for key_id in self._shelf.names("key"):
            kept = self._shelf.get(f"key/{key_id}") if key_id not in used else None
            if kept is not None and kept.made_at < before:
                self._shelf.delete(f"key/{key_id}")

    def _refuse_foreign(self, kept: Kept | None) -> None:
        if kept is not None and not kept.document.marks and self._shelf.get(FENCE) is None:
            raise TargetUnreachable(
                f"Target {self.name}: a secret that Redoubt did not write stands in its place; move it away first."
            )


def _age(kept: Kept) -> tuple[str, str]:
    """Later operations sort later, and so by more than the seconds that some stores count in."""
    return kept.document.marks.get("operation", ""), kept.made_at


def _version(kept: Kept | None) -> str | None:
    """What is really there, whatever its marks say."""
    if kept is None or not kept.document.certificate:
        return None
    try:
        return keys.fingerprint(keys.leaf(kept.document.certificate.encode()))
    except CertificateRejected:
        return None

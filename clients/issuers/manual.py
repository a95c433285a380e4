"""An issuer that is people: a request is put into a folder, and the certificate that they bring back is taken from it.

    FOLDER/requests/<first name>.<order>.csr   PEM, for whoever has it signed; gone once its certificate is here
    FOLDER/inbox/*                             chains in PEM, leaf first, under any name, dropped by people

Rules and invariants:
- A chain in the inbox is ours if its leaf has the order's key; what else lies there is somebody else's, and stays.
- One that has the key is taken only if nothing is wrong with it (`rules.certificates.problems`); else what is wrong
  with it is said while we go on waiting, and the next file may be better. So whoever may write to the inbox can offer,
  and `trust_file` decides.
- What was taken is kept beside the order before anything is told of it: the inbox may be emptied at any time after.
- Files are read as from a stranger: regular files only, never through a link, of bounded size and number.
"""

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.issuers import Order
from clients.issuers.orders import KeepsOrders, OrderFolder
from clients.issuers.requests import asked_key
from clients.issuers.roots import read_trust_file
from clients.secrets.files import sync_folder
from clients.x509 import LARGEST_CHAIN, X509Reader
from rules.certificates import problems
from rules.points import reached
from schemas.errors import CaRefused, CaUnavailable, CertificateAwaited, CertificateRejected
from schemas.revocations import RevocationReason
from schemas.settings import issuers

_LOOKS: Final = 20
_BETWEEN_LOOKS_S: Final = 0.25
"""One attempt watches for five seconds; then its slot is free for others, and it is tried again."""
_MOST_FILES: Final = 1000
"""Read at one look; older ones lie there from before."""
_FORGOTTEN_S: Final = 30 * 86_400
"""A request that nobody has had signed for so long belongs to a run that was ended."""
_READ_BY_GROUP: Final = 0o640


class _File(NamedTuple):
    """One as it was when it was looked at: what was looked at is read again only once it has changed."""

    name: str
    changed_ns: int
    size: int

    @classmethod
    def of(cls, entry: os.DirEntry[str]) -> "_File | None":
        """None for what is gone again."""
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        return cls(entry.name, status.st_mtime_ns, status.st_size)


class ManualIssuer(KeepsOrders):
    """The port `Issuer`."""

    def __init__(self, name: str, given: issuers.ManualIssuer) -> None:
        self.name = name
        self._given = given
        self._orders = OrderFolder(name, "manual", Path(given.path))
        self._reader = X509Reader()

    def place_order(self, names: tuple[str, ...]) -> Order:
        self._forget_old_requests()
        return super().place_order(names)

    def finalize(self, url: str, csr: bytes, beat: Callable[[], None]) -> Order:
        names = self._orders.names(url)
        asked_key(self.name, csr, names)
        request = self._file(url, names)
        if self._orders.issued(url) is None:
            self._publish(request, csr, names)
            reached("request.published")
            chain = self._brought(request, self._reader.requested_key(csr), names, beat)
            with contextlib.suppress(FileExistsError):  # another attempt was faster, and took the same
                self._orders.keep(url, "pem", chain)
            reached("order.finalized")
        with self._folder("requests"):
            request.unlink(missing_ok=True)
        return self.order(url)

    def revoke(self, chain: bytes, reason: RevocationReason) -> None:  # noqa: ARG002 - nothing is revoked here
        raise CaRefused(f"{self.name} can't revoke ({reason}): ask the CA that signed the certificate.")

    def trust_anchors(self) -> bytes:
        return read_trust_file(self.name, self._given.trust_file)

    # --- requests -------------------------------------------------------------------------------------

    def _file(self, url: str, names: tuple[str, ...]) -> Path:
        """No name of a certificate leads out of the folder: only letters, digits and marks of names are kept."""
        shown = "".join(sign if sign.isalnum() or sign in "-." else "_" for sign in names[0])
        return Path(self._given.folder, "requests", f"{shown[:100]}.{self._orders.order_id(url)}.csr")

    def _publish(self, file: Path, csr: bytes, names: tuple[str, ...]) -> None:
        told = f"Names: {', '.join(names)}\nPut the signed chain (PEM, leaf first) into {self._given.folder}/inbox\n"
        pem = x509.load_der_x509_csr(csr).public_bytes(Encoding.PEM)
        with self._folder("requests") as folder:
            draft = folder / f".{file.name}.{secrets.token_hex(8)}"
            draft.write_bytes(told.encode() + pem)
            draft.chmod(_READ_BY_GROUP)
            draft.replace(file)
            sync_folder(folder)

    def _forget_old_requests(self) -> None:
        before = time.time() - _FORGOTTEN_S
        with self._folder("requests") as folder:
            for file in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another process publishes, or has finished
                    if file.lstat().st_mtime < before:
                        file.unlink()

    # --- what people bring ----------------------------------------------------------------------------

    def _brought(self, request: Path, key: str, names: tuple[str, ...], beat: Callable[[], None]) -> bytes:
        """The chain for this key. Raises `CertificateAwaited` while there is none that may be used."""
        looked_at: set[_File] = set()
        wrong = ""
        for _ in range(_LOOKS):
            beat()
            for file in self._inbox():
                if file in looked_at:
                    continue
                looked_at.add(file)
                content = _content(Path(self._given.folder, "inbox", file.name))
                said = "" if content is None else self._said_against(content, key, names)
                if content is not None and said is None:
                    return content
                if said:
                    wrong = f" What lies in {file.name} has its key, but {said}."
            time.sleep(_BETWEEN_LOOKS_S)
        # The settings know the folder; who is told of this need not know how the host is laid out.
        raise CertificateAwaited(
            f"{self.name} waits for the certificate for requests/{request.name} in inbox/, "
            f"both in issuers.{self.name}.folder.{wrong}"
        )

    def _said_against(self, content: bytes, key: str, names: tuple[str, ...]) -> str | None:
        """None if it may be used; nothing if it is for another request, or for none."""
        try:
            facts = self._reader.read(content, self.trust_anchors())
        except CertificateRejected:
            return ""
        if facts.public_key_sha256 != key:
            return ""
        return "; ".join(problems(facts, names, key, (), datetime.now(UTC))) or None

    def _inbox(self) -> list[_File]:
        """The newest first: nobody need ever empty it."""
        with self._folder("inbox") as folder, os.scandir(folder) as entries:
            found = [file for entry in entries if (file := _File.of(entry)) is not None]
        return sorted(found, key=lambda file: file.changed_ns, reverse=True)[:_MOST_FILES]

    @contextlib.contextmanager
    def _folder(self, which: str) -> Iterator[Path]:
        folder = Path(self._given.folder, which)
        try:
            folder.mkdir(mode=0o770, parents=True, exist_ok=True)
            yield folder
        except OSError as error:
            raise CaUnavailable(
                f"The folder {which} of {self.name} can't be used ({error.strerror})."
            ) from error


def _content(path: Path) -> bytes | None:
    """Of a regular file that is no larger than a chain can be; None of anything else, and of what is gone again."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(LARGEST_CHAIN + 1)
    finally:
        os.close(handle)
    return content if len(content) <= LARGEST_CHAIN else None

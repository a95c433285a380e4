"""What the local CA has revoked, and the list that it signs of it (CRL, RFC 5280, section 5).

- A revocation is a file that is written once; the list is made anew from all of them. Killed between the two, the
  next attempt finds its certificate missing in the list and makes it.
- The list is replaced by a rename, so whoever serves the file serves a whole one.
- Its number is the time, or one more than the last number: it grows, also where the list was lost, unless lists were
  made faster than one a second.
- A list is made anew when half of its life is over. Who lets it run out leaves its readers without an answer.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.keystores.signing import StoredEcKey, StoredRsaKey, digest_for
from clients.secrets.files import store_file, sync_folder
from rules.points import reached
from schemas.errors import CaUnavailable
from schemas.revocations import RevocationReason

LIST_FILE = "crl.der"
_SKEW = timedelta(minutes=5)
_MAX_LIST_BYTES = 16 << 20
_FLAGS = {
    RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    RevocationReason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    RevocationReason.SUPERSEDED: x509.ReasonFlags.superseded,
    RevocationReason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    RevocationReason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
}


class LocalRevocations:
    """Its methods but `current` are called by who holds the CA's lock."""

    def __init__(self, name: str, path: Path, valid: timedelta) -> None:
        self._name = name
        self._path = path
        self._valid = valid

    def add(self, leaf: x509.Certificate, reason: RevocationReason) -> None:
        """Keep that it is revoked; the first time and reason stay."""
        entry = {"reason": reason, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._folder() as revoked, contextlib.suppress(FileExistsError):
            store_file(revoked / f"{leaf.serial_number:x}.json", json.dumps(entry).encode())
        reached("revocation.kept")

    def current(self) -> x509.CertificateRevocationList | None:
        """The list as it is served; None if there is none that can be read."""
        try:
            with (self._path / LIST_FILE).open("rb") as file:
                return x509.load_der_x509_crl(file.read(_MAX_LIST_BYTES))
        except FileNotFoundError:
            return None
        except ValueError:
            return None
        except OSError as error:
            raise CaUnavailable(f"The CRL of {self._name} can't be read ({error.strerror}).") from error

    def stale(self) -> bool:
        """Whether a list has to be made: none is there, one half over, or one that lacks a revocation."""
        listed, now = self.current(), datetime.now(UTC)
        if listed is None or listed.next_update_utc is None:
            return True
        if now > listed.next_update_utc - self._valid / 2:
            return True
        return any(
            listed.get_revoked_certificate_by_serial_number(serial) is None
            for serial, _, _ in self._entries()
        )

    def write(self, root: x509.Certificate, key: StoredEcKey | StoredRsaKey) -> None:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder(root.subject)
            .last_update(now - _SKEW)
            .next_update(now + self._valid)
            .add_extension(x509.CRLNumber(self._next_number(now)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        )
        for serial, reason, at in self._entries():
            entry = x509.RevokedCertificateBuilder(serial, at)
            if reason in _FLAGS:  # `unspecified` is said by saying nothing (RFC 5280, 5.3.1)
                entry = entry.add_extension(x509.CRLReason(_FLAGS[reason]), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        self._replace(builder.sign(key, digest_for(key)).public_bytes(Encoding.DER))
        reached("crl.written")

    def _next_number(self, now: datetime) -> int:
        listed = self.current()
        last = 0
        if listed is not None:
            last = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        return max(last + 1, int(now.timestamp()))

    def _entries(self) -> Iterator[tuple[int, RevocationReason, datetime]]:
        with self._folder() as revoked:
            for file in sorted(revoked.glob("*.json")):
                entry = json.loads(file.read_bytes())
                yield (
                    int(file.stem, 16),
                    RevocationReason(entry["reason"]),
                    datetime.fromisoformat(entry["at"]),
                )

    def _replace(self, content: bytes) -> None:
        temporary = self._path / f".{LIST_FILE}.{secrets.token_hex(8)}"
        with self._folder():
            # Readable by the web server that serves it: a CRL is public.
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                reached("crl.writing")
                temporary.replace(self._path / LIST_FILE)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(self._path)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        revoked = self._path / "revoked"
        try:
            revoked.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield revoked
        except FileExistsError:
            raise
        except OSError as error:
            raise CaUnavailable(f"The folder of {self._name} can't be used ({error.strerror}).") from error

"""Whether a version in a folder is still what was staged there: its certificate, its key, and the lines that name them.

A key that stays in a token can't be looked at from here; of such a version the certificate and its line are compared.
"""

from pathlib import PurePosixPath

from cryptography import x509

from clients.targets import keys, nginx
from clients.targets.folder import Folder
from schemas.errors import CertificateRejected, KeyUnsuitable


def changed(version: str, files: Folder, held: Folder, place: PurePosixPath) -> str | None:
    """In words, None if nothing was; `files` is the version's folder at `place`, `held` that of the keys."""
    there = files.names()
    certificate = _certificate(files) if "fullchain.pem" in there else None
    if certificate is None or keys.fingerprint(certificate) != version:
        return "its certificate was changed"
    lines = files.read("nginx.conf") if "nginx.conf" in there else b""
    own = nginx.lines(str(place / "fullchain.pem"), str(place / "key.pem"))
    if "key.pem" not in there:
        return (
            None
            if _first(lines) == _first(own) and b"engine:" in lines
            else "its key or nginx.conf was changed"
        )
    if not _fits(certificate, PurePosixPath(files.link("key.pem") or "").name, held):
        return "its key was changed"
    return None if lines == own else "its nginx.conf was changed"


def _certificate(files: Folder) -> x509.Certificate | None:
    try:
        return keys.leaf(files.read("fullchain.pem"))
    except CertificateRejected:
        return None


def _fits(certificate: x509.Certificate, file: str, held: Folder) -> bool:
    try:
        return file in held.names() and keys.belong_together(certificate, keys.load(held.read(file)))
    except KeyUnsuitable:
        return False


def _first(lines: bytes) -> bytes:
    return lines.partition(b"\n")[0]

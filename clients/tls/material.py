"""What a listener serves and trusts, read from files that others change.

- A certificate is what the link `current` in a `files` target's folder names: a version never changes once it is
  there, so certificate and key belong together. The key's file must be closed to other users.
- Roots and CRLs are read whole, bounded, and must be what they are taken for; a change is told by the file's
  identity, size and time, which costs no read.
- What can't be used raises `OSError`, `ssl.SSLError`, `ValueError` or a `RedoubtError`, and changes nothing.
"""

import ssl
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.targets.folder import Folder
from clients.tls import policy
from clients.tls.counting import Counts
from clients.tls.handshake import ServedContext
from clients.x509 import X509Reader
from schemas.errors import CertificateRejected
from schemas.settings.tls import ListenerTls

Seen = tuple[object, ...]
"""What tells one state of some files from another."""

_LARGEST_TRUST: Final = 32 << 20
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Trust:
    """Roots and CRLs that client certificates are verified against, in PEM; None: no client is asked for one."""

    pem: bytes | None
    mode: ssl.VerifyMode
    crl: bool

    def put_into(self, context: ssl.SSLContext) -> None:
        context.verify_mode = self.mode
        if self.pem is None:
            return
        # Only from a file does the library take CRLs too; a copy, so that one state is used by every certificate.
        with tempfile.NamedTemporaryFile(prefix="redoubt-trust-") as copy:
            copy.write(self.pem)
            copy.flush()
            context.load_verify_locations(cafile=copy.name)
        if not context.get_ca_certs():
            raise ValueError("client_ca_file holds no CA certificate")
        if self.crl:
            if not context.cert_store_stats()["crl"]:
                raise ValueError("client_crl_file holds no CRL")
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


_MODES: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def trust_seen(given: ListenerTls) -> Seen:
    return tuple(_seen(file) for file in (given.client_ca_file, given.client_crl_file) if file)


def read_trust(given: ListenerTls) -> Trust:
    mode = _MODES[given.client_certificates]
    if given.client_ca_file is None:
        return Trust(None, mode, crl=False)
    files = [file for file in (given.client_ca_file, given.client_crl_file) if file]
    trust = Trust(b"\n".join(_bounded(file) for file in files), mode, crl=given.client_crl_file is not None)
    trust.put_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    return trust


def certificate_seen(directory: str) -> Seen:
    try:
        return (str(Path(directory, "current").readlink()),)
    except OSError as error:
        return (error.errno,)


def without_certificate(trust: Trust, counts: Counts) -> ServedContext:
    """The context that refuses every handshake."""
    context = ServedContext(ssl.PROTOCOL_TLS_SERVER)
    policy.apply(context)
    trust.put_into(context)
    context.counts = counts
    return context


def load_certificate(
    directory: str, trust: Trust, counts: Counts, version: str | None = None
) -> ServedContext | None:
    """The context that shows this version, or what the folder's `current` names; None if there is no such link."""
    with Folder.at(directory) as root:
        version = version or _current(root, directory)
        if version is None:
            return None
        with root.sub("versions") as versions, versions.sub(version) as files:
            chain = files.read("fullchain.pem")
            if "key.pem" not in files.names():
                raise CertificateRejected(
                    f"{directory} holds no key file; a key in a token can't serve our own listeners."
                )
    place = Path(directory) / "versions" / version
    if (place / "key.pem").stat().st_mode & _OTHERS:
        raise CertificateRejected(f"The key in {directory} is open to other users.")
    context = without_certificate(trust, counts)
    context.load_cert_chain(place / "fullchain.pem", place / "key.pem")
    context.describe(X509Reader().read(chain), chain, version)
    return context


def _current(root: Folder, directory: str) -> str | None:
    text = root.link("current")
    if text is None:
        return None
    place, _, version = text.partition("/")
    if place != "versions" or not version or "/" in version:
        raise CertificateRejected(f"{directory}: its link `current` was changed by someone else.")
    return version


def _seen(file: str) -> Seen:
    try:
        found = Path(file).stat()
    except OSError as error:
        return (error.errno,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _bounded(file: str) -> bytes:
    with Path(file).open("rb") as opened:
        content = opened.read(_LARGEST_TRUST + 1)
    if len(content) > _LARGEST_TRUST:
        raise ValueError(f"{file} has more than {_LARGEST_TRUST} bytes")
    return content

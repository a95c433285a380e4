"""A throw-away CA with CRLs, targets' folders as Redoubt leaves them, and clients with and without certificates."""

import contextlib
import datetime as dt
import hashlib
import http.client
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "api.example.test"
OTHER = "codec.example.test"
PEM = serialization.Encoding.PEM


@dataclass
class Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def chain(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    @property
    def private(self) -> bytes:
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class TlsCa:
    key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    name: x509.Name = field(default_factory=lambda: named("TLS test CA"))
    revoked: list[int] = field(default_factory=list)

    @property
    def root(self) -> bytes:
        now = dt.datetime.now(dt.UTC)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        return (
            self._builder(
                self.name, self.key.public_key(), now - dt.timedelta(days=9), now + dt.timedelta(days=9)
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
            .public_bytes(PEM)
        )

    def server(self, *names: str) -> Issued:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        return self._issue("server", dt.timedelta(days=1), ExtendedKeyUsageOID.SERVER_AUTH, alternative)

    def answer(self, csr: bytes) -> bytes:
        """The chain for a target's own request (PKCS#10, DER)."""
        asked = x509.load_der_x509_csr(csr)
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        now = dt.datetime.now(dt.UTC)
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        builder = self._builder(
            named("server"), public, now - dt.timedelta(days=2), now + dt.timedelta(days=1)
        )
        issued = builder.add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        return issued.public_bytes(PEM)

    def client(self, name: str = "robot", ends_in: dt.timedelta = dt.timedelta(days=1)) -> Issued:
        alternative = x509.SubjectAlternativeName([x509.DNSName(f"{name}.clients.test")])
        return self._issue(name, ends_in, ExtendedKeyUsageOID.CLIENT_AUTH, alternative)

    def crl(self) -> bytes:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now - dt.timedelta(hours=1))
            .next_update(now + dt.timedelta(days=1))
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM)

    def _issue(
        self,
        name: str,
        ends_in: dt.timedelta,
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName,
    ) -> Issued:
        key, now = _key(), dt.datetime.now(dt.UTC)
        builder = self._builder(named(name), key.public_key(), now - dt.timedelta(days=2), now + ends_in)
        certificate = (
            builder.add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Issued(certificate, key)

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, begins: dt.datetime, ends: dt.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )


def put(folder: Path, issued: Issued) -> None:
    """Leave the certificate in the folder as a `files` target does: a complete version, then one rename."""
    version = folder / "versions" / issued.fingerprint
    version.mkdir(mode=0o700, parents=True, exist_ok=True)
    for inside in (folder, folder / "versions"):
        inside.chmod(0o700)
    for name, content in (("fullchain.pem", issued.chain), ("key.pem", issued.private)):
        file = version / name
        file.touch(mode=0o600)
        file.write_bytes(content)
    point(folder, issued.fingerprint)


def point(folder: Path, version: str) -> None:
    draft = folder / ".current"
    draft.symlink_to(f"versions/{version}")
    draft.rename(folder / "current")


@dataclass
class Client:
    """A client that trusts this CA; `shown` is the certificate that it has, as a file with its key."""

    root: bytes
    shown: Path | None = None
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.root.decode())
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, self.newest
        if self.shown is not None:
            context.load_cert_chain(self.shown)
        return context

    def get(
        self,
        port: int,
        path: str = "/livez",
        name: str = NAME,
        *,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> "Seen":
        """One request on a connection of its own. Raises `ssl.SSLError` or `OSError` if it is not admitted."""
        with (
            contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as plain,
            (context or self.context()).wrap_socket(plain, server_hostname=name, session=session) as channel,
        ):
            channel.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            answer = http.client.HTTPResponse(channel)
            answer.begin()
            body = answer.read()
            leaf = channel.getpeercert(binary_form=True) or b""
            return Seen(
                answer.status,
                body,
                hashlib.sha256(leaf).hexdigest(),
                channel.session,
                bool(channel.session_reused),
            )


@dataclass
class Seen:
    status: int
    body: bytes
    fingerprint: str
    session: ssl.SSLSession | None
    resumed: bool


def pem_file(folder: Path, name: str, issued: Issued) -> Path:
    file = folder / f"{name}.pem"
    file.touch(mode=0o600)
    file.write_bytes(issued.chain + issued.private)
    return file

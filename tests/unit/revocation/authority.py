"""A CA in memory for the tests of revocation: its certificates name a list, and its lists say what a test wants."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
URL = "http://ca.example/crl.der"
DELTA = "http://ca.example/delta.der"
HOUR = timedelta(hours=1)


def points(*urls: str) -> list[x509.DistributionPoint]:
    return [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]


class Authority:
    def __init__(self, name: str = "CA", *, crl_sign: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, crl_sign, False, False)
        self.certificate = (
            self._builder(self.name, self.key)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def leaf(self, serial: int = 7, urls: tuple[str, ...] = (URL,), deltas: tuple[str, ...] = ()) -> bytes:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        builder = self._builder(subject, ec.generate_private_key(ec.SECP256R1()), serial)
        if urls:
            builder = builder.add_extension(x509.CRLDistributionPoints(points(*urls)), critical=False)
        if deltas:
            builder = builder.add_extension(x509.FreshestCRL(points(*deltas)), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM) + self.pem

    def crl(  # noqa: PLR0913 - a list is all of these
        self,
        *revoked: int,
        reason: x509.ReasonFlags | None = None,
        begins: datetime = NOW - HOUR,
        ends: datetime = NOW + HOUR,
        number: int = 5,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
        entry_extension: tuple[x509.ExtensionType, bool] | None = None,
    ) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder(self.name)
            .last_update(begins)
            .next_update(ends)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for value, critical in extensions:
            builder = builder.add_extension(value, critical)
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder(serial, NOW - HOUR)
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            if entry_extension is not None:
                entry = entry.add_extension(*entry_extension)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int = 1
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            self.name, subject, key.public_key(), serial, NOW - HOUR, NOW + 100 * HOUR
        )

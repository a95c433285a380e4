"""Reading certificates that come from outside, and making requests for new ones.

What comes from a CA or lies on a target is untrusted: its size is bounded, and whatever can't be parsed is
`CertificateRejected`, never a stack. Whether a chain is good is decided by `cryptography`'s verifier of RFC 5280
paths for TLS servers (names, validity, key usage, signatures), not by us.
"""

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from clients.keystores import KeyStore
from clients.keystores.signing import csr
from clients.subjects import general_name
from schemas.certificates import CertificateFacts
from schemas.errors import CertificateRejected

LARGEST_CHAIN = 256 * 1024
LONGEST_CHAIN = 10
# What `cryptography` raises for bytes that are no certificate, or one of a kind that it does not know.
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_CURVES = {"secp256r1": "EC-P256", "secp384r1": "EC-P384"}


class X509Reader:
    """The port `CertificateReader`."""

    def read(self, chain: bytes, roots: bytes | None = None) -> CertificateFacts:
        try:
            certificates = _parsed(chain)
            facts = _facts(certificates[0])
            verified = roots is not None and _verifies(certificates, facts.names, roots)
        except _UNREADABLE as error:
            raise CertificateRejected(
                "The chain is not made of certificates in PEM that can be read."
            ) from error
        return facts.model_copy(update={"chain_verified": verified})

    def request(self, store: KeyStore, key_id: bytes, names: tuple[str, ...]) -> bytes:
        return csr(store, key_id, names)

    def requested_key(self, csr: bytes) -> str:
        try:
            return _key_digest(x509.load_der_x509_csr(csr))
        except _UNREADABLE as error:
            raise CertificateRejected("The request for a certificate can't be read.") from error


def _parsed(chain: bytes) -> list[x509.Certificate]:
    if len(chain) > LARGEST_CHAIN:
        raise CertificateRejected(f"The chain has more than {LARGEST_CHAIN} bytes.")
    certificates = x509.load_pem_x509_certificates(chain)
    if not 1 <= len(certificates) <= LONGEST_CHAIN:
        raise CertificateRejected(f"The chain has {len(certificates)} certificates.")
    return certificates


def _facts(leaf: x509.Certificate) -> CertificateFacts:
    if leaf.serial_number <= 0:
        raise CertificateRejected("The certificate's serial number is not positive (RFC 5280, 4.1.2.2).")
    return CertificateFacts(
        fingerprint=hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest(),
        serial=f"{leaf.serial_number:x}",
        names=_names(leaf),
        issuer=leaf.issuer.rfc4514_string(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        public_key_sha256=_key_digest(leaf),
        key_algorithm=_algorithm(leaf),
        server_auth=_for_servers(leaf),
    )


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _for_servers(leaf: x509.Certificate) -> bool:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True  # no restriction (RFC 5280, 4.2.1.12)
    return ExtendedKeyUsageOID.SERVER_AUTH in usages


def _key_digest(holder: x509.Certificate | x509.CertificateSigningRequest) -> str:
    der = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _algorithm(leaf: x509.Certificate) -> str:
    key = leaf.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, key.curve.name)
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else type(key).__name__


def _verifies(chain: list[x509.Certificate], names: tuple[str, ...], roots: bytes) -> bool:
    if not names or not roots.strip():
        return False
    try:
        # A wildcard is verified for a name that it covers.
        subject = general_name(f"probe{names[0][1:]}" if names[0].startswith("*.") else names[0])
        store = Store(x509.load_pem_x509_certificates(roots))
        PolicyBuilder().store(store).build_server_verifier(subject).verify(chain[0], chain[1:])
    except (VerificationError, *_UNREADABLE):
        return False
    return True

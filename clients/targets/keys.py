"""Private keys that are made on the target, and what can be told of a chain without trusting it."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from clients.subjects import alternative_names
from schemas.errors import CertificateRejected, KeyUnsuitable
from schemas.settings.key_stores import KeyAlgorithm

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: dict[str, ec.EllipticCurve] = {"EC-P256": ec.SECP256R1(), "EC-P384": ec.SECP384R1()}
_RSA_BITS = {"RSA-2048": 2048, "RSA-3072": 3072}


def generate(algorithm: KeyAlgorithm) -> bytes:
    """A new private key, PKCS#8 PEM."""
    key: PrivateKey
    if algorithm in _CURVES:
        key = ec.generate_private_key(_CURVES[algorithm])
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[algorithm])
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnsuitable("A key file on the target can't be read as a private key.") from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise KeyUnsuitable("A key on the target is neither EC nor RSA.")
    return key


def algorithm_of(key: PrivateKey) -> str:
    return algorithm_of_public(key.public_key())


def algorithm_of_public(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "EC-P256", "secp384r1": "EC-P384"}.get(key.curve.name, key.curve.name)
    return type(key).__name__


def request(key: PrivateKey, names: tuple[str, ...]) -> bytes:
    """A CSR in DER. Its subject is empty: names stand in the extension, where a CA reads them."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return der(builder.add_extension(alternative_names(names), critical=False).sign(key, hashes.SHA256()))


def der(csr: x509.CertificateSigningRequest) -> bytes:
    return csr.public_bytes(serialization.Encoding.DER)


def leaf(fullchain: bytes) -> x509.Certificate:
    """The first certificate of a PEM chain. Raises `CertificateRejected`."""
    try:
        return x509.load_pem_x509_certificates(fullchain)[0]
    except ValueError as error:
        raise CertificateRejected("What is to be staged is not a chain of certificates in PEM.") from error


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def belong_together(certificate: x509.Certificate, key: PrivateKey) -> bool:
    return _public(certificate.public_key()) == _public(key.public_key())


def _public(key: object) -> bytes:
    if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        return b""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

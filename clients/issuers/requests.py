"""What an issuer of ours looks at in a request before it is signed, whoever signs it."""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from clients.subjects import alternative_names
from schemas.errors import CaRefused

_LEAST_RSA_BITS = 2048

LeafKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def asked_key(issuer: str, csr: bytes, names: tuple[str, ...]) -> LeafKey:
    """The key of a request (DER) that is signed by it and asks for these names, no more and no fewer.

    Raises `CaRefused`.
    """
    try:
        request = x509.load_der_x509_csr(csr)
        signed = request.is_signature_valid
        asked = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        public = request.public_key()
    except (
        ValueError,
        InvalidSignature,
        UnsupportedAlgorithm,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
    ) as error:
        raise CaRefused(f"{issuer}: the request can't be read.") from error
    if not signed:
        raise CaRefused(f"{issuer}: the request is not signed by its key.")
    wanted, ordered = list(asked), list(alternative_names(names))
    if len(wanted) != len(ordered) or set(wanted) != set(ordered):
        raise CaRefused(f"{issuer}: the request asks for other names than the order.")
    return _suitable(issuer, public)


def _suitable(issuer: str, public: object) -> LeafKey:
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in {"secp256r1", "secp384r1"}:
        return public
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= _LEAST_RSA_BITS:
        return public
    raise CaRefused(f"{issuer} issues for P-256, P-384 and RSA keys of {_LEAST_RSA_BITS} bits or more.")

"""Lets the builders of `cryptography` sign with a key that stays in a key store.

The adapters are what the builders take for a private key. They have its public half and `sign`; whatever would
need the private half itself is refused.
"""

from typing import Any, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from clients.keystores import KeyStore
from clients.subjects import alternative_names
from schemas.errors import KeyUnsuitable

_DIGESTS = frozenset({"sha256", "sha384"})


def stored_key(store: KeyStore, key_id: bytes) -> "StoredEcKey | StoredRsaKey":
    """The key of this ID, as the builders take it. Raises `KeyNotFound`."""
    public = serialization.load_der_public_key(store.describe(key_id).public_key)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return StoredEcKey(store, key_id, public)
    if isinstance(public, rsa.RSAPublicKey):
        return StoredRsaKey(store, key_id, public)
    raise KeyUnsuitable(f"Key {key_id.hex()} of key store {store.name} is neither EC nor RSA.")


def digest_for(key: "StoredEcKey | StoredRsaKey") -> hashes.SHA256 | hashes.SHA384:
    """The digest as strong as the key, as CAs ask for it."""
    strong = isinstance(key, StoredEcKey) and key.key_size > 256  # noqa: PLR2004  P-256 goes with SHA-256
    return hashes.SHA384() if strong else hashes.SHA256()


def csr(store: KeyStore, key_id: bytes, names: tuple[str, ...]) -> bytes:
    """A PKCS#10 request in DER. Its subject is empty: the names stand in the extension, where a CA reads them."""
    key = stored_key(store, key_id)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.add_extension(alternative_names(names), critical=False).sign(key, digest_for(key))
    return signed.public_bytes(serialization.Encoding.DER)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise KeyUnsuitable("This key signs in its key store and can do nothing else.")


class StoredEcKey(ec.EllipticCurvePrivateKey):
    def __init__(self, store: KeyStore, key_id: bytes, public: ec.EllipticCurvePublicKey) -> None:
        self._store, self._key_id, self._public = store, key_id, public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        return self._store.sign(self._key_id, bytes(data), _digest(signature_algorithm.algorithm))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    exchange = private_numbers = private_bytes = __copy__ = __deepcopy__ = _refuse


class StoredRsaKey(rsa.RSAPrivateKey):
    def __init__(self, store: KeyStore, key_id: bytes, public: rsa.RSAPublicKey) -> None:
        self._store, self._key_id, self._public = store, key_id, public

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        if not isinstance(padding, PKCS1v15):
            _refuse()
        return self._store.sign(self._key_id, bytes(data), _digest(algorithm))

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    decrypt = private_numbers = private_bytes = __copy__ = __deepcopy__ = _refuse


def _digest(algorithm: hashes.HashAlgorithm | utils.Prehashed | utils.NoDigestInfo) -> Any:
    name = getattr(algorithm, "name", "")
    if name not in _DIGESTS:
        raise KeyUnsuitable("A key store signs SHA-256 and SHA-384 digests of the data that it is given.")
    return name

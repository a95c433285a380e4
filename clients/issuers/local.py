"""A certificate authority of our own, self-signed: for machines that no public CA reaches, and as a fallback.

- Its key is made in a key store and signs there. The root is made once: of several processes that begin at once
  the first to link its root in place wins, and all use that one.
- An order is a file that is written once, its certificate another beside it: an order that has a certificate is
  valid, one without is ready, and there is no state between the two to be killed in.
- A finalisation holds the folder's lock, so an order gets one certificate however often and by however many it is
  asked for. The request must be signed by its key and ask for the order's names, no more and no fewer.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clients.issuers import Order
from clients.keystores import KeyStore
from clients.keystores.signing import StoredEcKey, StoredRsaKey, digest_for, stored_key
from clients.secrets.files import store_file
from rules.points import reached
from schemas.errors import CaRefused, CaUnavailable, OrderInvalid, OrderLost
from schemas.settings import issuers

_ROOT_DAYS = 3650
_SKEW = timedelta(minutes=5)  # clocks of clients may be behind ours
_LEAST_RSA_BITS = 2048
_MAX_NAMES = 100
_MAX_FILE_BYTES = 1 << 20
_ID = re.compile(r"[0-9a-f]{32}")


class LocalCa:
    """The port `Issuer`. It asks for no proof: who may write to its folder and use its key is the proof."""

    def __init__(self, name: str, given: issuers.LocalIssuer, keys: KeyStore) -> None:
        self.name = name
        self._given = given
        self._keys = keys
        self._path = Path(given.path)
        # Of this CA and no other in the same key store.
        self._key_id = hashlib.sha256(f"local-ca/{name}".encode()).digest()[:16]

    # --- the port -------------------------------------------------------------------------------------

    def place_order(self, names: tuple[str, ...]) -> Order:
        if not 1 <= len(names) <= _MAX_NAMES:
            raise CaRefused(f"{self.name} issues for 1 to {_MAX_NAMES} names.")
        self._root()
        order_id = secrets.token_hex(16)
        with self._folder() as orders:
            store_file(orders / f"{order_id}.json", json.dumps({"names": names}).encode())
        reached("order.placed")
        return Order(url=f"local:{self.name}/{order_id}", status="ready")

    def order(self, url: str) -> Order:
        self._names(url)
        return Order(url=url, status="ready" if self._issued(url) is None else "valid")

    def prove_control(self, url: str, beat: Callable[[], None]) -> Order:
        beat()
        return self.order(url)

    def finalize(self, url: str, csr: bytes, beat: Callable[[], None]) -> Order:
        names = self._names(url)
        beat()
        with self._locked():
            if self._issued(url) is None:
                leaf = self._signed(self._public_key(csr, names), names)
                with self._folder() as orders:
                    store_file(orders / f"{self._order_id(url)}.pem", leaf.public_bytes(Encoding.PEM))
                reached("order.finalized")
        return self.order(url)

    def certificate(self, url: str) -> bytes:
        self._names(url)
        issued = self._issued(url)
        if issued is None:
            raise OrderInvalid(f"{self.name} has issued nothing for this order.")
        reached("certificate.downloaded")
        return issued

    def trust_anchors(self) -> bytes:
        return self._root().public_bytes(Encoding.PEM)

    def certificates_issued(self) -> int:
        """How many it has issued in all, for evidence and figures."""
        with self._folder() as orders:
            return sum(1 for _ in orders.glob("*.pem"))

    # --- what it holds --------------------------------------------------------------------------------

    def _order_id(self, url: str) -> str:
        owner, _, order_id = url.removeprefix("local:").partition("/")
        if owner != self.name or not _ID.fullmatch(order_id):
            raise OrderLost(f"{self.name} knows no such order.")
        return order_id

    def _names(self, url: str) -> tuple[str, ...]:
        content = self._read(f"{self._order_id(url)}.json")
        if content is None:
            raise OrderLost(f"{self.name} knows no such order.")
        return tuple(json.loads(content)["names"])

    def _issued(self, url: str) -> bytes | None:
        return self._read(f"{self._order_id(url)}.pem")

    def _read(self, file: str) -> bytes | None:
        with (
            self._folder() as orders,
            contextlib.suppress(FileNotFoundError),
            (orders / file).open("rb") as opened,
        ):
            return opened.read(_MAX_FILE_BYTES)
        return None

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        orders = self._path / "orders"
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            orders.mkdir(mode=0o700, exist_ok=True)
            yield orders
        except OSError as error:
            raise CaUnavailable(f"The folder of {self.name} can't be used ({error.strerror}).") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all threads and processes: each entry opens the file anew, and so waits for the others."""
        with self._folder():
            handle = os.open(
                self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # --- the root -------------------------------------------------------------------------------------

    def _root(self) -> x509.Certificate:
        file = self._path / "root.pem"
        with self._folder():
            if not file.exists():
                made = self._self_signed().public_bytes(Encoding.PEM)
                # Another process may have been faster: then its root is the root.
                with contextlib.suppress(FileExistsError):
                    store_file(file, made)
            return x509.load_pem_x509_certificate(file.read_bytes())

    def _self_signed(self) -> x509.Certificate:
        self._keys.generate(self._key_id, f"local CA {self.name}", "EC-P256")
        key, now = stored_key(self._keys, self._key_id), datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._given.common_name)])
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + timedelta(days=_ROOT_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(identifier, critical=False)
        )
        return builder.sign(key, digest_for(key))

    def _root_and_key(self) -> tuple[x509.Certificate, StoredEcKey | StoredRsaKey]:
        root, key = self._root(), stored_key(self._keys, self._key_id)
        if _spki(root.public_key()) != _spki(key.public_key()):
            raise CaRefused(f"The root of {self.name} belongs to another key than its key store holds.")
        return root, key

    # --- leaves ---------------------------------------------------------------------------------------

    def _public_key(self, csr: bytes, names: tuple[str, ...]) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        try:
            request = x509.load_der_x509_csr(csr)
            signed = request.is_signature_valid
            asked = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, InvalidSignature, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
            raise CaRefused(f"{self.name}: the request can't be read.") from error
        if not signed:
            raise CaRefused(f"{self.name}: the request is not signed by its key.")
        wanted = asked.get_values_for_type(x509.DNSName)
        if len(list(asked)) != len(wanted) or sorted(wanted) != sorted(names):
            raise CaRefused(f"{self.name}: the request asks for other names than the order.")
        return self._suitable(request.public_key())

    def _suitable(self, public: object) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in {"secp256r1", "secp384r1"}:
            return public
        if isinstance(public, rsa.RSAPublicKey) and public.key_size >= _LEAST_RSA_BITS:
            return public
        raise CaRefused(
            f"{self.name} issues for P-256, P-384 and RSA keys of {_LEAST_RSA_BITS} bits or more."
        )

    def _signed(
        self, public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, names: tuple[str, ...]
    ) -> x509.Certificate:
        root, key = self._root_and_key()
        now = datetime.now(UTC)
        until = min(now + timedelta(days=self._given.valid_days), root.not_valid_after_utc)
        if until <= now:
            raise CaRefused(f"The root of {self.name} has expired.")
        usages = (
            ("digital_signature", "key_encipherment")
            if isinstance(public, rsa.RSAPublicKey)
            else ("digital_signature",)
        )
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = (
            x509.CertificateBuilder(root.subject, x509.Name([]), public, x509.random_serial_number())
            .not_valid_before(max(now - _SKEW, root.not_valid_before_utc))
            .not_valid_after(until)
            # Critical, as it must be where the subject is empty (RFC 5280, 4.2.1.6).
            .add_extension(alternative, critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(*usages), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        )
        return builder.sign(key, digest_for(key))


def _usage(*granted: str) -> x509.KeyUsage:
    every = (
        *(
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
        ),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{one: one in granted for one in every})


def _spki(public: object) -> bytes:
    if not isinstance(public, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        return b""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

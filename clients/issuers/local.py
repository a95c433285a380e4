"""A certificate authority of our own, self-signed: for machines that no public CA reaches, and as a fallback.

- Its key is made in a key store and signs there. The root is made once: of several processes that begin at once
  the first to link its root in place wins, and all use that one.
- An order is a file that is written once, its certificate another beside it: an order that has a certificate is
  valid, one without is ready, and there is no state between the two to be killed in.
- A finalisation holds the folder's lock, so an order gets one certificate however often and by however many it is
  asked for. The request must be signed by its key and ask for the order's names, no more and no fewer.
- What it revokes stands in a list that it signs (`local_revocations`); with `crl_url` its certificates say where.
"""

import contextlib
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clients.issuers import Order
from clients.issuers.local_revocations import LIST_FILE, LocalRevocations
from clients.issuers.orders import KeepsOrders, OrderFolder
from clients.issuers.requests import LeafKey, asked_key
from clients.keystores import KeyStore
from clients.keystores.signing import StoredEcKey, StoredRsaKey, digest_for, stored_key
from clients.secrets.files import store_file
from clients.subjects import alternative_names
from schemas.errors import CaRefused
from schemas.revocations import RevocationReason
from schemas.settings import issuers

_ROOT_DAYS = 3650
_SKEW = timedelta(minutes=5)  # clocks of clients may be behind ours


class LocalCa(KeepsOrders):
    """The port `Issuer`. It asks for no proof: who may write to its folder and use its key is the proof."""

    def __init__(self, name: str, given: issuers.LocalIssuer, keys: KeyStore) -> None:
        self.name = name
        self._given = given
        self._keys = keys
        self._path = Path(given.path)
        self._orders = OrderFolder(name, "local", self._path)
        self._revocations = LocalRevocations(name, self._path, timedelta(days=given.crl_days))
        # Of this CA and no other in the same key store.
        self._key_id = hashlib.sha256(f"local-ca/{name}".encode()).digest()[:16]

    # --- the port -------------------------------------------------------------------------------------

    def place_order(self, names: tuple[str, ...]) -> Order:
        self._root()
        return super().place_order(names)

    def finalize(self, url: str, csr: bytes, beat: Callable[[], None]) -> Order:
        def issue(names: tuple[str, ...]) -> bytes:
            return self._signed(asked_key(self.name, csr, names), names).public_bytes(Encoding.PEM)

        return self._finalized(url, beat, issue)

    def trust_anchors(self) -> bytes:
        return self._root().public_bytes(Encoding.PEM)

    def certificates_issued(self) -> int:
        """How many it has issued in all, for evidence and figures."""
        return self._orders.count()

    # --- revocation -----------------------------------------------------------------------------------

    def revoke(self, chain: bytes, reason: RevocationReason) -> None:
        """Only what it has issued; the list is signed and in place when this returns."""
        try:
            leaf = x509.load_pem_x509_certificates(chain)[0]
            leaf.verify_directly_issued_by(self._root())
        except (ValueError, TypeError, InvalidSignature) as error:
            raise CaRefused(f"{self.name} has not issued this certificate.") from error
        with self._orders.alone():
            self._revocations.add(leaf, reason)
            self._list_anew()

    def crl_at(self, url: str) -> bytes | None:
        """Its list (DER), made anew where that is due; None for a URL that is not its own."""
        return self.crl() if url and url == self._given.crl_url else None

    def refresh_lists(self) -> None:
        """Only where its certificates say where the list is: nobody looks for one elsewhere."""
        if self._given.crl_url:
            with self._orders.alone():
                self._list_anew()

    def crl(self) -> bytes:
        with self._orders.alone():
            self._list_anew()
        return (self._path / LIST_FILE).read_bytes()

    def _list_anew(self) -> None:
        if self._revocations.stale():
            self._revocations.write(*self._root_and_key())

    # --- the root -------------------------------------------------------------------------------------

    def _root(self) -> x509.Certificate:
        file = self._path / "root.pem"
        with self._orders.opened():
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

    def _signed(self, public: LeafKey, names: tuple[str, ...]) -> x509.Certificate:
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
        builder = (
            x509.CertificateBuilder(root.subject, x509.Name([]), public, x509.random_serial_number())
            .not_valid_before(max(now - _SKEW, root.not_valid_before_utc))
            .not_valid_after(until)
            # Critical, as it must be where the subject is empty (RFC 5280, 4.2.1.6).
            .add_extension(alternative_names(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(*usages), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        )
        if self._given.crl_url:
            full = [x509.UniformResourceIdentifier(self._given.crl_url)]
            points = x509.CRLDistributionPoints([x509.DistributionPoint(full, None, None, None)])
            builder = builder.add_extension(points, critical=False)
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

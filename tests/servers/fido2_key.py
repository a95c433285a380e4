"""A FIDO2 key in software, at the level of CTAP2: what speaks over USB, without the USB.

It answers `authenticatorGetInfo`, `authenticatorMakeCredential` and `authenticatorGetAssertion` as the specification
has them, with ES256 credentials that stand in its memory. It verifies its owner by itself, like a key with a finger
sensor, unless the test wants one that does not (`verifies=False`), or one that refuses (`refuses`).
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fido2 import cbor
from fido2.cose import ES256, CoseKey
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.hid import CAPABILITY, CTAPHID, CtapHidDevice
from fido2.webauthn import Aaguid, AttestedCredentialData, AuthenticatorData

_MAKE, _ASSERT, _INFO = 0x01, 0x02, 0x04
_FLAG = AuthenticatorData.FLAG


@dataclass
class Maker:
    """A maker of FIDO2 keys: its root, and the certificate by which its keys say whose they are."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    attesting: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def root(self) -> bytes:
        """In DER."""
        return self._certificate("A maker's root", self.private, ca=True)

    def statement(self, signed: bytes) -> dict[str, Any]:
        """As the format `packed` has it."""
        leaf = self._certificate("A maker's keys", self.attesting, ca=False)
        signature = self.attesting.sign(signed, ec.ECDSA(hashes.SHA256()))
        return {"alg": ES256.ALGORITHM, "sig": signature, "x5c": [leaf]}

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            issuer_name=_named("A maker's root"),
            subject_name=_named(name),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now,
            not_valid_after=now + timedelta(days=1),
        ).add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        return builder.sign(self.private, hashes.SHA256()).public_bytes(Encoding.DER)


@dataclass
class SoftwareKey(CtapDevice):
    maker: Maker | None = None
    """Whose word it gives of itself; None: nobody's."""
    verifies: bool = True
    backed_up: bool = False
    """A passkey that its owner's other devices have too."""
    refuses: CtapError.ERR | None = None
    counter: int = 0
    credentials: dict[bytes, tuple[str, ec.EllipticCurvePrivateKey]] = field(default_factory=dict)

    @property
    def capabilities(self) -> int:
        return int(CAPABILITY.CBOR)

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,  # noqa: ARG002 - the device's signature
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        if cmd != CTAPHID.CBOR:
            raise CtapError(CtapError.ERR.INVALID_COMMAND)
        if on_keepalive and data[0] != _INFO:
            on_keepalive(STATUS.UPNEEDED)
        given: Any = cbor.decode(data[1:]) if data[1:] else {}
        answers = {_INFO: self._info, _MAKE: self._make, _ASSERT: self._assert}
        try:
            return b"\0" + cbor.encode(answers[data[0]](given))
        except CtapError as refused:
            return bytes([refused.code])

    def _info(self, _given: Any) -> dict[int, Any]:
        options = {"rk": False, "up": True, "uv": True, "clientPin": False}
        return {1: ["FIDO_2_0", "FIDO_2_1"], 3: bytes(16), 4: options, 5: 1200, 6: [2]}

    def _make(self, given: Any) -> dict[int, Any]:
        self._asked(given.get(7))
        private, name = ec.generate_private_key(ec.SECP256R1()), os.urandom(48)
        relying_party: str = given[2]["id"]
        self.credentials[name] = (relying_party, private)
        public: CoseKey = ES256.from_cryptography_key(private.public_key())  # type: ignore[no-untyped-call]
        made = AttestedCredentialData.create(Aaguid.NONE, name, public)
        data = AuthenticatorData.create(_hashed(relying_party), self._flags() | _FLAG.AT, self.counter, made)
        if self.maker is None:
            return {1: "none", 2: bytes(data), 3: {}}
        return {1: "packed", 2: bytes(data), 3: self.maker.statement(data + given[1])}

    def _assert(self, given: Any) -> dict[int, Any]:
        self._asked(given.get(5))
        relying_party, client_data_hash = given[1], given[2]
        known = [one["id"] for one in given.get(3, ()) if one["id"] in self.credentials]
        if not known or self.credentials[known[0]][0] != relying_party:
            raise CtapError(CtapError.ERR.NO_CREDENTIALS)
        # A client looks first, without a touch (`up` is false), which of the credentials is here.
        touched = (given.get(5) or {}).get("up", True)
        self.counter += touched
        flags = self._flags() if touched else _FLAG(0)
        data = AuthenticatorData.create(_hashed(relying_party), flags, self.counter)
        signature = self.credentials[known[0]][1].sign(data + client_data_hash, ec.ECDSA(hashes.SHA256()))
        credential = {"id": known[0], "type": "public-key"}
        return {1: credential, 2: bytes(data), 3: signature}

    def _asked(self, options: Any) -> None:
        if self.refuses is not None and (options or {}).get("up", True):
            raise CtapError(self.refuses)

    def _flags(self) -> AuthenticatorData.FLAG:
        copied = _FLAG.BE | _FLAG.BS if self.backed_up else _FLAG(0)
        return copied | (_FLAG.UP | _FLAG.UV if self.verifies else _FLAG.UP)


def plug_in(patch: pytest.MonkeyPatch, *keys: SoftwareKey) -> None:
    """They are what stands at the USB."""
    patch.setattr(CtapHidDevice, "list_devices", lambda: iter(keys))


def _named(common_name: str) -> x509.Name:
    """With what WebAuthn (section 8.2.1) asks of who attests."""
    parts = {
        NameOID.COUNTRY_NAME: "SE",
        NameOID.ORGANIZATION_NAME: "A maker",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "Authenticator Attestation",
        NameOID.COMMON_NAME: common_name,
    }
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def _hashed(relying_party: str) -> bytes:
    return hashlib.sha256(relying_party.encode()).digest()

"""Keys in a token behind a PKCS#11 module: made there, used there, and never out of it.

- A key is made sensitive and non-extractable, for signing only, and read back to see that the token took that.
- PKCS#11 lets two keys share a CKA_ID. Makers on one host hold a lock on the module's file, so that they find
  each other's key; where two keys share an ID all the same (two hosts, one network HSM), neither is used.
- The digest is made here, so that every token that does plain ECDSA and PKCS#1 will do.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, SlotFlag, exceptions
from pkcs11._pkcs11 import SearchIter  # type: ignore[attr-defined]  # a Cython class without a stub
from pkcs11.util.ec import encode_ec_public_key, encode_ecdsa_signature, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

from clients.keystores import KeyFacts
from clients.keystores.sessions import Line, Sessions
from clients.locks import lock
from rules.points import reached
from schemas.errors import KeyNotFound, KeyStoreUnavailable, KeyUnsuitable
from schemas.settings.key_stores import KeyAlgorithm
from schemas.signing_keys import Custody

_CURVES = {"EC-P256": "secp256r1", "EC-P384": "secp384r1"}
_ALGORITHMS = {curve: name for name, curve in _CURVES.items()}
_RSA_BITS = {"RSA-2048": 2048, "RSA-3072": 3072}
# DER of DigestInfo up to the digest itself (RFC 8017, 9.2): plain PKCS#1 signs what it is given.
_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
}
_LOCK_WAIT_S = 60.0


class Pkcs11KeyStore:
    """`pin` is asked for at log-in only, and after a refusal never again: make the store anew for that."""

    def __init__(
        self,
        name: str,
        module: str | Path,
        token: str,
        pin: Callable[[], bytes],
        *,
        renew_every_s: float = 5.0,
    ) -> None:
        self.name = name
        self._module = Path(module)
        self._token = token
        self._sessions = Sessions(name, self._module, token, pin, renew_every_s=renew_every_s)

    def generate(self, key_id: bytes, label: str, algorithm: KeyAlgorithm) -> KeyFacts:
        with self._alone():
            return self._sessions.run(lambda line: self._generated(line, key_id, label, algorithm))

    def describe(self, key_id: bytes) -> KeyFacts:
        return self._sessions.run(lambda line: _facts(line, self._found(line, key_id)))

    def custody(self, key_id: bytes) -> Custody:
        return self._sessions.run(lambda line: _custody(line.session.token, self._found(line, key_id)))

    def sign(self, key_id: bytes, data: bytes, digest: Literal["sha256", "sha384"]) -> bytes:
        hashed = hashlib.new(digest, data).digest()

        def signed(line: Line) -> bytes:
            key: Any = self._found(line, key_id)
            if key.key_type == KeyType.RSA:
                return bytes(key.sign(_DIGEST_INFO[digest] + hashed, mechanism=Mechanism.RSA_PKCS))
            return encode_ecdsa_signature(key.sign(hashed, mechanism=Mechanism.ECDSA))

        return self._sessions.run(signed)

    def destroy(self, key_id: bytes) -> None:
        def destroyed(line: Line) -> None:
            for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
                for key in _objects(line, kind, key_id):
                    key.destroy()

        with self._alone():
            reached("key.destroying")
            self._sessions.run(destroyed)
            # A token may give the freed handle to another key.
            self._sessions.forget_handles()
            reached("key.destroyed")

    def list(self) -> tuple[KeyFacts, ...]:
        def listed(line: Line) -> tuple[KeyFacts, ...]:
            facts = [_facts(line, key) for key in _objects(line, ObjectClass.PRIVATE_KEY)]
            return tuple(sorted(facts, key=lambda one: one.key_id))

        return self._sessions.run(listed)

    def uri(self, key_id: bytes) -> str | None:
        shown = "".join(f"%{byte:02x}" for byte in key_id)
        return f"pkcs11:token={quote(self._token, safe='')};id={shown};type=private"

    def check(self) -> None:
        self._sessions.run(_refuse_logged_out)

    def _found(self, line: Line, key_id: bytes) -> pkcs11.PrivateKey:
        if key_id not in line.keys:
            found = _objects(line, ObjectClass.PRIVATE_KEY, key_id)
            if not found:
                raise KeyNotFound(f"The token of key store {self.name} has no key {key_id.hex()}.")
            if len(found) > 1:
                raise KeyUnsuitable(f"The token of key store {self.name} has two keys {key_id.hex()}.")
            line.keys[key_id] = found[0]
        return line.keys[key_id]

    def _generated(self, line: Line, key_id: bytes, label: str, algorithm: KeyAlgorithm) -> KeyFacts:
        # Handles found before the lock was held may be of keys that are gone.
        line.keys.clear()
        with contextlib.suppress(KeyNotFound):
            return _facts(line, self._found(line, key_id))
        for half in _objects(line, ObjectClass.PUBLIC_KEY, key_id):
            half.destroy()  # of a pair that a crash left without its private key
        reached("key.generating")
        made = _make(line, key_id, label, algorithm)
        reached("key.generated")
        facts = _facts(line, made)
        if facts.extractable:
            made.destroy()
            raise KeyUnsuitable(f"The token of key store {self.name} makes keys that can be taken out of it.")
        return facts

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone among the makers and destroyers of keys on this host.

        The lock is on the module's file: whoever uses the token opens it, and it needs no folder of ours.
        """
        try:
            handle = os.open(self._module, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KeyStoreUnavailable(
                f"The PKCS#11 module of key store {self.name} can't be opened."
            ) from error
        try:
            stuck = KeyStoreUnavailable("Another process makes keys and does not come to an end.")
            lock(handle, _LOCK_WAIT_S, stuck)
            yield
        finally:
            os.close(handle)


class _Search(SearchIter):  # type: ignore[misc]  # as above
    """A search that failed is over: python-pkcs11 would end it again, and complain of that on stderr."""

    def _finalize(self, silent: bool = False) -> None:
        with contextlib.suppress(exceptions.PKCS11Error):
            super()._finalize(silent=silent)


def _objects(line: Line, kind: ObjectClass, key_id: bytes | None = None) -> "list[Any]":
    """Without a log-in a token shows no private objects: that must not pass for their absence."""
    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind}
    if key_id is not None:
        wanted[Attribute.ID] = key_id
    found: list[Any] = []
    with _Search(line.session, wanted, 64) as batches:
        for batch in batches:
            found.extend(batch)
    if not found:
        _refuse_logged_out(line)
    return found


def _refuse_logged_out(line: Line) -> None:
    if not line.logged_in():
        raise exceptions.UserNotLoggedIn


def _make(line: Line, key_id: bytes, label: str, algorithm: str) -> pkcs11.PrivateKey:
    private = {
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.PRIVATE: True,
        Attribute.SIGN: True,
        Attribute.DECRYPT: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }
    public = {Attribute.VERIFY: True, Attribute.ENCRYPT: False, Attribute.WRAP: False}
    templates: dict[str, Any] = {"private_template": private, "public_template": public}
    about: dict[str, Any] = {"id": key_id, "label": label, "store": True}
    if algorithm in _RSA_BITS:
        return line.session.generate_keypair(KeyType.RSA, _RSA_BITS[algorithm], **about, **templates)[1]
    if algorithm not in _CURVES:
        raise KeyUnsuitable(f"This key store makes no {algorithm} keys.")
    curve = encode_named_curve_parameters(_CURVES[algorithm])
    parameters = line.session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: curve}, local=True)
    return parameters.generate_keypair(mechanism=Mechanism.EC_KEY_PAIR_GEN, **about, **templates)[1]


def _facts(line: Line, key: Any) -> KeyFacts:
    halves = _objects(line, ObjectClass.PUBLIC_KEY, key.id)
    if not halves:
        raise KeyUnsuitable(f"The token holds no public half of key {key.id.hex()}.")
    public = _public(halves[0])
    return KeyFacts(
        key_id=key.id.hex(),
        label=key.label or "",
        algorithm=_algorithm(public),
        public_key=public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        extractable=bool(key[Attribute.EXTRACTABLE]) or not key[Attribute.SENSITIVE],
    )


def _custody(token: pkcs11.Token, key: Any) -> Custody:
    return Custody(
        manufacturer=token.manufacturer_id,
        model=token.model,
        serial=token.serial.decode("ascii", "replace").strip(),
        hardware_slot=SlotFlag.HW_SLOT in token.slot.flags,
        local=bool(key[Attribute.LOCAL]),
        always_sensitive=bool(key[Attribute.ALWAYS_SENSITIVE]),
        never_extractable=bool(key[Attribute.NEVER_EXTRACTABLE]),
    )


def _public(half: Any) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    encoded = encode_rsa_public_key(half) if half.key_type == KeyType.RSA else encode_ec_public_key(half)
    public = serialization.load_der_public_key(encoded)
    if not isinstance(public, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        raise KeyUnsuitable("The token holds a key that is neither EC nor RSA.")
    return public


def _algorithm(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA-{public.key_size}"
    return _ALGORITHMS.get(public.curve.name, public.curve.name)

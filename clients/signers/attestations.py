"""Whether what came with a FIDO2 key at its enrolment is its maker's word about this very key.

- The statement is signed by the maker's attestation key, over the credential's public key and its relying party.
- The certificates that come with it lead to one of the policy's roots. Their dates are not looked at: a key that was
  genuine when it was made stays so (WebAuthn, section 14.4.1, leaves that to who relies on it).
- The key had verified its owner when it made the credential.

Every check of the statement itself is `fido2`'s own.
"""

import base64
import hashlib
import itertools
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from fido2.attestation.base import Attestation as Format
from fido2.attestation.base import InvalidAttestation, verify_x509_chain
from fido2.webauthn import AttestationObject, AuthenticatorData, CollectedClientData

from clients.signers.assertions import cose, may_be_copied
from schemas.errors import KeyUnsuitable
from schemas.signing_keys import SigningKey

_VERIFIED = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV
_BROKEN = (
    *(InvalidAttestation, InvalidSignature, UnsupportedAlgorithm, KeyUnsuitable, NotImplementedError),
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError),
)
"""What `fido2` and `cryptography` raise for bytes that are not what they should be."""


def fault(key: SigningKey, roots: Sequence[str]) -> str:
    """What is wrong with the key's attestation, in words; "" if nothing is, or it has none.

    `roots`: certificates (DER, base64); where there are none, only the statement itself is judged.
    """
    if key.attestation is None:
        return ""
    try:
        return _fault(key, base64.b64decode(key.attestation.attestation_object), roots)
    except _BROKEN:
        return "its attestation can't be read, or is not signed as its format asks for"


def _fault(key: SigningKey, given: bytes, roots: Sequence[str]) -> str:
    attested = AttestationObject(given)
    data, credential = attested.auth_data, attested.auth_data.credential_data
    if credential is None or credential.public_key != cose(base64.b64decode(key.public_key)):
        return "its attestation is of another public key"
    if data.rp_id_hash != hashlib.sha256(key.relying_party.encode()).digest():
        return "its attestation is for another relying party"
    if data.flags & _VERIFIED != _VERIFIED or may_be_copied(data):
        return "its owner was not verified when it was enrolled, or it may be copied to other devices"
    client_data = (
        CollectedClientData(base64.b64decode(key.attestation.client_data)) if key.attestation else b""
    )
    found = Format.for_type(attested.fmt)().verify(
        attested.att_stmt, data, hashlib.sha256(client_data).digest()
    )
    if not found.trust_path:
        return "its attestation is only its own word"
    if roots and not any(_leads(found.trust_path, base64.b64decode(root)) for root in roots):
        return "its attestation leads to none of hardware.attestation_roots"
    return ""


def _leads(path: Sequence[bytes], root: bytes) -> bool:
    """Whether each certificate is signed by the next, the last by the root, and all but the first are CAs'."""
    above = [*path[1:], root]
    certificates = [x509.load_der_x509_certificate(one) for one in (*path, root)]
    try:
        if not all(_is_ca(one) for one in certificates[1:]):
            return False
        verify_x509_chain([path[0], *above])
    except (InvalidAttestation, InvalidSignature):
        return False
    return all(one.issuer == by.subject for one, by in itertools.pairwise(certificates))


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False

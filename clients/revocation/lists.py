"""Reading revocation lists (CRL, RFC 5280, section 5 and 6.3): what one covers, and what it says of a certificate.

Everything that a list may say and that is not understood here makes it no answer: a critical extension, a list by
another than the certificate's issuer, one for other certificates, one that was asked for at another address.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from rules.revocation import why_not_current

LARGEST_LIST = 16 << 20
_UNDERSTOOD = (x509.CRLNumber, x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)
_SIGNERS = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


class NoAnswer(Exception):  # noqa: N818 - it becomes the status `unknown`
    """Why a list says nothing of a certificate."""


@dataclass(frozen=True)
class RevokedEntry:
    reason: str
    at: datetime


def list_from(
    content: bytes, url: str, issuer: x509.Certificate, now: datetime
) -> x509.CertificateRevocationList:
    """The list, once it is known to be the issuer's, current, whole in scope, and the one that the address stands for.

    Raises `NoAnswer`.
    """
    if len(content) > LARGEST_LIST:
        raise NoAnswer(f"its revocation list has more than {LARGEST_LIST} bytes")
    try:
        pem = content.startswith(b"-----BEGIN")
        read = x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
        _refuse_unsigned(read, issuer)
        _refuse_scope(read, url)
        wrong = why_not_current(read.last_update_utc, read.next_update_utc, now)
    except UNREADABLE as error:
        raise NoAnswer("its revocation list can't be read") from error
    if wrong:
        raise NoAnswer(wrong)
    return read


def issuer_of(leaf: x509.Certificate, candidates: Iterable[x509.Certificate]) -> x509.Certificate:
    """The certificate whose key has signed the leaf. Raises `NoAnswer`."""
    for one in candidates:
        try:
            leaf.verify_directly_issued_by(one)
        except (InvalidSignature, *UNREADABLE):
            continue
        return one
    raise NoAnswer("the certificate of its issuer is not in the chain")


def addresses(leaf: x509.Certificate) -> tuple[str, ...]:
    """Where the certificate says that complete lists of its own issuer are."""
    return _addresses(leaf, x509.CRLDistributionPoints)


def fresher(*sources: x509.Certificate | x509.CertificateRevocationList) -> tuple[str, ...]:
    """Where the certificate or its list says that changes since the complete list are (delta CRLs)."""
    found = [url for one in sources for url in _addresses(one, x509.FreshestCRL)]
    return tuple(dict.fromkeys(found))


def entry(read: x509.CertificateRevocationList, serial: int) -> RevokedEntry | None:
    """What the list says of this serial number; None if it is not in it. Raises `NoAnswer`."""
    try:
        found = read.get_revoked_certificate_by_serial_number(serial)
        if found is None:
            return None
        if any(one.critical and not isinstance(one.value, x509.CRLReason) for one in found.extensions):
            raise NoAnswer("its revocation list says something of it that is not understood")
        reasons = [
            one.value.reason.value for one in found.extensions if isinstance(one.value, x509.CRLReason)
        ]
        return RevokedEntry(reasons[0] if reasons else "unspecified", found.revocation_date_utc)
    except UNREADABLE as error:
        raise NoAnswer("its revocation list can't be read") from error


def refuse_other_base(base: x509.CertificateRevocationList, delta: x509.CertificateRevocationList) -> None:
    """A delta counts with the complete list that it is built on, or a later one (RFC 5280, 5.2.4)."""
    built_on, number, newer = (
        _number(delta, x509.DeltaCRLIndicator),
        _number(base, x509.CRLNumber),
        _number(delta, x509.CRLNumber),
    )
    if built_on is None or number is None or newer is None:
        raise NoAnswer("its delta revocation list has no number")
    if not built_on <= number or newer < number:
        raise NoAnswer("its delta revocation list is for another complete list")


def is_delta(read: x509.CertificateRevocationList) -> bool:
    return _number(read, x509.DeltaCRLIndicator) is not None


def _refuse_unsigned(read: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    key = issuer.public_key()
    if read.issuer != issuer.subject or not isinstance(key, _SIGNERS):
        raise NoAnswer("its revocation list is another issuer's")
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and not usage.crl_sign:
        raise NoAnswer("its issuer may not sign revocation lists")
    if not read.is_signature_valid(key):
        raise NoAnswer("its revocation list is not signed by its issuer")


def _refuse_scope(read: x509.CertificateRevocationList, url: str) -> None:
    for one in read.extensions:
        if one.critical and not isinstance(one.value, _UNDERSTOOD):
            raise NoAnswer("its revocation list says something that is not understood")
        if isinstance(one.value, x509.IssuingDistributionPoint):
            scope = one.value
            partial = scope.only_contains_ca_certs or scope.only_contains_attribute_certs
            if partial or scope.indirect_crl or scope.only_some_reasons or scope.relative_name:
                raise NoAnswer("its revocation list is for other certificates")
            named = [
                name.value
                for name in scope.full_name or ()
                if isinstance(name, x509.UniformResourceIdentifier)
            ]
            if scope.full_name is not None and url not in named:
                raise NoAnswer("its revocation list belongs to another address")


def _addresses(
    source: x509.Certificate | x509.CertificateRevocationList,
    kind: type[x509.CRLDistributionPoints] | type[x509.FreshestCRL],
) -> tuple[str, ...]:
    """Only points for every reason, and of the issuer itself."""
    try:
        points = source.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE as error:
        raise NoAnswer("its distribution points can't be read") from error
    names = [
        name
        for point in points
        if not point.reasons and not point.crl_issuer
        for name in point.full_name or ()
    ]
    urls = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    return tuple(url for url in urls if url.startswith(("http://", "https://")))


def _number(
    read: x509.CertificateRevocationList, kind: type[x509.CRLNumber] | type[x509.DeltaCRLIndicator]
) -> int | None:
    try:
        return read.extensions.get_extension_for_class(kind).value.crl_number
    except x509.ExtensionNotFound:
        return None

"""Certificates from outside: what is read of them, and that nothing they hold gets further than a refusal."""

import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from clients.x509 import LARGEST_CHAIN, X509Reader
from schemas.errors import CertificateRejected
from tests.integration.targets.material import TODAY, Days, TestCa

NOW = datetime.now(UTC)
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
LEAF_KEY = ec.generate_private_key(ec.SECP256R1())


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def root() -> x509.Certificate:
    public = ROOT_KEY.public_key()
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        x509.CertificateBuilder(subject("Root"), subject("Root"), public, x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=100))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(ROOT_KEY, hashes.SHA256())
    )


def leaf(*names: str, key: object = LEAF_KEY, days: int = 10, usage: bool | None = True) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder(subject("Root"), x509.Name([]), key.public_key(), 0xABCDEF)  # type: ignore[attr-defined]  # any key
        .not_valid_before(NOW - timedelta(hours=2))
        .not_valid_after(NOW + timedelta(days=days) if days else NOW - timedelta(hours=1))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT_KEY.public_key()), critical=False
        )
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=True)
    if usage is not None:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if usage else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(ROOT_KEY, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


ROOTS = pem(root())
DER = leaf("www.example.com").public_bytes(Encoding.DER)


def test_facts_are_those_of_the_leaf() -> None:
    made = leaf("www.example.com", "example.com")
    facts = X509Reader().read(pem(made, root()), ROOTS)
    assert facts.fingerprint == hashlib.sha256(made.public_bytes(Encoding.DER)).hexdigest()
    assert facts.serial == "abcdef"
    assert facts.names == ("www.example.com", "example.com")
    assert facts.issuer == "CN=Root"
    assert facts.not_after == made.not_valid_after_utc
    assert facts.key_algorithm == "EC-P256"
    assert facts.server_auth
    assert facts.chain_verified
    spki = LEAF_KEY.public_key().public_bytes(Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert facts.public_key_sha256 == hashlib.sha256(spki).hexdigest()


def test_a_request_and_its_certificate_have_one_key_digest() -> None:
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(LEAF_KEY, hashes.SHA256())
    asked = X509Reader().requested_key(request.public_bytes(Encoding.DER))
    assert asked == X509Reader().read(pem(leaf("a.example.com"))).public_key_sha256
    with pytest.raises(CertificateRejected):
        X509Reader().requested_key(b"no request")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "EC-P384"),
        (rsa.generate_private_key(65537, 2048), "RSA-2048"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
        (ec.generate_private_key(ec.SECP521R1()), "secp521r1"),
    ],
)
def test_the_key_algorithm_is_named(key: object, algorithm: str) -> None:
    assert X509Reader().read(pem(leaf("a.example.com", key=key))).key_algorithm == algorithm


def test_a_chain_is_verified_only_against_roots_that_lead_there() -> None:
    good = leaf("www.example.com")
    other = ec.generate_private_key(ec.SECP256R1())
    stranger = (
        x509.CertificateBuilder(subject("Root"), subject("Root"), other.public_key(), 7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(other, hashes.SHA256())
    )
    for roots, verified in (
        (ROOTS, True),
        (None, False),
        (b"", False),
        (b"junk", False),
        (pem(stranger), False),
    ):
        assert X509Reader().read(pem(good), roots).chain_verified is verified


@pytest.mark.parametrize(
    ("days", "verified"),
    [(TODAY, True), ((-2, -1), False), ((1, 2), False)],
    ids=["good", "ended", "to come"],
)
def test_each_certificate_of_a_chain_must_be_valid_now(days: Days, *, verified: bool) -> None:
    root, below = TestCa(), TestCa(name=subject("Intermediate"))
    chain = below.issue(LEAF_KEY.public_key()) + root.certify(below, days)
    assert X509Reader().read(chain, root.root).chain_verified is verified


@pytest.mark.parametrize(
    ("made", "verified"),
    [
        (leaf("*.example.com"), True),
        (leaf("www.example.com", days=0), False),
        (leaf("www.example.com", usage=False), False),
        (leaf(), False),
    ],
    ids=["wildcard", "expired", "for clients", "nameless"],
)
def test_what_a_client_would_refuse_does_not_verify(made: x509.Certificate, *, verified: bool) -> None:
    assert X509Reader().read(pem(made), ROOTS).chain_verified is verified


def test_the_purpose_is_read() -> None:
    assert X509Reader().read(pem(leaf("a.example.com", usage=None))).server_auth
    assert not X509Reader().read(pem(leaf("a.example.com", usage=False))).server_auth


@pytest.mark.parametrize(
    "chain",
    [
        b"",
        b"no certificate",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        pem(*[leaf("a.example.com")] * 11),
        pem(leaf("a.example.com")) + b" " * LARGEST_CHAIN,
    ],
    ids=["empty", "text", "hollow", "junk", "too many", "too large"],
)
def test_what_is_no_chain_is_rejected(chain: bytes) -> None:
    with pytest.raises(CertificateRejected):
        X509Reader().read(chain, ROOTS)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(place=st.integers(0, len(DER) - 1), value=st.integers(0, 255), junk=st.binary(max_size=8))
def test_a_damaged_certificate_is_read_or_rejected_and_nothing_else(
    place: int, value: int, junk: bytes
) -> None:
    damaged = bytearray(DER)
    damaged[place : place + len(junk) + 1] = bytes([value]) + junk
    try:
        facts = X509Reader().read(ssl_pem(bytes(damaged)), ROOTS)
    except CertificateRejected:
        return
    assert not facts.chain_verified or bytes(damaged) == DER


def ssl_pem(der: bytes) -> bytes:

    return ssl.DER_cert_to_PEM_cert(der).encode()


@given(chain=st.binary(max_size=200))
def test_any_bytes_are_rejected(chain: bytes) -> None:
    with pytest.raises(CertificateRejected):
        X509Reader().read(chain + os.urandom(1))

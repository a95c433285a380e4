"""Keys that are made on a target, and those that it must refuse."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from clients.targets import keys
from schemas.errors import CertificateRejected, KeyUnsuitable
from schemas.settings.key_stores import KeyAlgorithm
from tests.integration.targets.material import NAME, TestCa

ALGORITHMS: tuple[KeyAlgorithm, ...] = ("EC-P256", "EC-P384", "RSA-2048", "RSA-3072")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_what_was_asked_for_and_fits_its_own_certificate_only(algorithm: KeyAlgorithm) -> None:
    key, other = keys.load(keys.generate(algorithm)), keys.load(keys.generate("EC-P256"))
    assert keys.algorithm_of(key) == algorithm
    certificate = keys.leaf(TestCa().answer(keys.request(key, (NAME,))))
    assert keys.belong_together(certificate, key)
    assert not keys.belong_together(certificate, other)


def test_a_request_names_everything_and_no_subject() -> None:
    csr = x509.load_der_x509_csr(keys.request(keys.load(keys.generate("EC-P256")), (NAME, "*.example.test")))
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME, "*.example.test"]
    assert list(csr.subject) == []


def test_what_is_no_key_of_ours_is_refused() -> None:
    strange = ed25519.Ed25519PrivateKey.generate()
    pem = strange.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(KeyUnsuitable, match="neither EC nor RSA"):
        keys.load(pem)
    with pytest.raises(KeyUnsuitable, match="can't be read"):
        keys.load(b"nonsense")
    for_another = keys.leaf(TestCa().issue(strange.public_key()))
    assert not keys.belong_together(for_another, keys.load(keys.generate("EC-P256")))


def test_what_is_no_chain_is_rejected() -> None:
    with pytest.raises(CertificateRejected):
        keys.leaf(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

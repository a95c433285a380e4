"""A version as PKCS#12: what is in it, how it is locked, and which passwords it refuses."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from clients.targets import keys
from clients.targets.pkcs12 import sealed
from schemas.errors import InvalidReference
from tests.integration.targets.material import NAME, TestCa

PASSWORD = b"correct-horse-7b1f"


def test_it_holds_the_key_and_the_whole_chain_and_opens_with_its_password_only() -> None:
    ca, key = TestCa(), keys.load(keys.generate("EC-P256"))
    chain = ca.issue(key.public_key(), NAME) + ca.root
    data = sealed("web-1", chain, key, PASSWORD)
    held, leaf, others = pkcs12.load_key_and_certificates(data, PASSWORD)
    assert isinstance(held, ec.EllipticCurvePrivateKey)
    assert leaf is not None
    assert [leaf, *others] == x509.load_pem_x509_certificates(chain)
    assert keys.belong_together(leaf, held)
    assert b"PRIVATE" not in data
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(data, b"another-password")


def test_without_a_key_it_holds_the_chain_alone() -> None:
    ca, key = TestCa(), keys.load(keys.generate("EC-P256"))
    chain = ca.issue(key.public_key()) + ca.root
    held, leaf, others = pkcs12.load_key_and_certificates(sealed("web-1", chain, None, PASSWORD), PASSWORD)
    assert held is None
    assert [one for one in (leaf, *others) if one] == x509.load_pem_x509_certificates(chain)


@pytest.mark.parametrize("password", [b"short", "pässwörter".encode(), b"line\nbreak-inside", b""])
def test_a_password_that_not_everyone_can_type_is_refused_and_not_repeated(password: bytes) -> None:
    ca, key = TestCa(), keys.load(keys.generate("EC-P256"))
    with pytest.raises(InvalidReference, match="web-1") as refused:
        sealed("web-1", ca.issue(key.public_key()), key, password)
    assert not password or repr(password) not in str(refused.value)

"""Which of the chains that a CA offers for one certificate is used (RFC 8555, 7.4.2)."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

_MOST: Final = 10


def preferred(first: bytes, others: Iterable[Callable[[], bytes]], common_name: str) -> bytes:
    """The chain whose last certificate was issued by this common name; the CA's own choice if none was.

    The others are fetched one by one, and only as far as is needed.
    """
    if _ends_with(first, common_name):
        return first
    fetched = (fetch() for fetch in islice(others, _MOST))
    return next((chain for chain in fetched if _ends_with(chain, common_name)), first)


def _ends_with(chain: bytes, common_name: str) -> bool:
    try:
        last = x509.load_pem_x509_certificates(chain)[-1]
    except ValueError:
        return False  # whoever reads the chain says what is wrong with it
    names = last.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(name.value == common_name for name in names)

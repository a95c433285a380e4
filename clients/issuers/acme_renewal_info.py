"""When the CA would have a certificate renewed (RFC 9773), and whether it may be named as replaced.

- A window is asked for again only once the CA's Retry-After is over, held between a minute and a day; an ended
  certificate is never asked about.
- A CA that offers no renewal information, or does not know the certificate (another's), is no error: None.
- The page that it gives for people is kept only as an https address of moderate length: it becomes a part of reasons,
  which are short lines.
- One that does not answer, or answers nonsense, raises `CaUnavailable`: the caller goes by our own policy, and says so.
  It is not asked for a minute then, about no certificate: a thousand of them must not wait for it one after the other.
"""

import base64
import threading
import time
from datetime import UTC, datetime
from typing import Final

from acme import messages
from acme.client import ClientV2
from acme.errors import Error as AcmeError
from cryptography import x509
from josepy.errors import Error as JoseError
from pydantic import ValidationError

from clients.issuers.acme_account import Account
from clients.issuers.acme_network import retry_after
from schemas.errors import CaUnavailable, CertificateRejected
from schemas.renewal_info import RenewalWindow

_LEAST_S: Final = 60.0
_MOST_S: Final = 86_400.0
_USUAL_S: Final = 21_600.0
_REFUSED: Final = range(400, 500)
"""CAs differ in what they say of a certificate that another issued: not found, or malformed."""
_MOST_KEPT: Final = 10_000
_LONGEST_URL: Final = 200


class RenewalInformation:
    def __init__(self, account: Account) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, RenewalWindow | None]] = {}
        self._away = (0.0, "")
        """Until when it is not asked again, and what it failed with."""

    def window(self, chain: bytes) -> RenewalWindow | None:
        leaf = _leaf(chain)
        name = certificate_id(leaf)
        if name is None or leaf.not_valid_after_utc <= datetime.now(UTC):
            return None
        with self._lock:
            until, kept = self._kept.get(name, (0.0, None))
        if time.monotonic() < until:
            return kept
        response, seconds = self._answer(name)
        window = None if response is None else self._read(response)
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[name] = (time.monotonic() + seconds, window)
        return window

    def replaceable(self, chain: bytes) -> str | None:
        """The ID under which this CA knows the certificate; None if it knows none."""
        return certificate_id(_leaf(chain)) if self.window(chain) is not None else None

    def _answer(self, name: str) -> tuple[object | None, float]:
        """As `_ask`; from a CA that does not answer, the same error for a minute."""
        with self._lock:
            until, failed = self._away
        if failed and time.monotonic() < until:
            raise CaUnavailable(failed)
        try:
            return self._ask(name)
        except CaUnavailable as error:
            with self._lock:
                self._away = (time.monotonic() + _LEAST_S, error.in_full)
            raise

    def _ask(self, name: str) -> tuple[object | None, float]:
        """The CA's answer, None if it has none to give, and for how many seconds that holds.

        The first question fetches the directory, too.
        """
        base = self._account.client().directory.to_partial_json().get("renewalInfo")
        if not isinstance(base, str):
            return None, _USUAL_S

        def question(client: ClientV2) -> tuple[object | None, float]:
            try:
                response = client.net.get(f"{base.rstrip('/')}/{name}")
            except AcmeError:
                if self._account.network.status in _REFUSED:
                    return None, _USUAL_S
                raise
            said = retry_after(response, _MOST_S)
            return response, max(_LEAST_S, _USUAL_S if said is None else said)

        answer: tuple[object | None, float] = self._account.ask_anonymously(question)
        return answer

    def _read(self, response: object) -> RenewalWindow:
        try:
            body = response.json()  # type: ignore[attr-defined]  # the library's own has no types
            said = messages.RenewalInfo.from_json(body).suggested_window
            url = _to_be_shown(body.get("explanationURL"))
            window = RenewalWindow(start=said.start, end=said.end, explanation_url=url)
        except (JoseError, ValidationError, ValueError, TypeError, AttributeError) as error:
            raise CaUnavailable(
                f"{self._account.name} sent renewal information that can't be read."
            ) from error
        if window.end <= window.start:
            raise CaUnavailable(f"{self._account.name} suggests a window that ends before it begins.")
        return window


def certificate_id(leaf: x509.Certificate) -> str | None:
    """RFC 9773, 4.1; None for a certificate that does not say which key of its CA signed it."""
    try:
        key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    if key is None:
        return None
    serial = leaf.serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")  # as DER: room for the sign
    return f"{_text(key)}.{_text(octets)}"


def _to_be_shown(url: object) -> str:
    """The address as it is, or none: a part of one leads nowhere."""
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        return ""
    return url if url.isprintable() and url.startswith("https://") else ""


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _leaf(chain: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(chain)
    except ValueError as error:
        raise CertificateRejected("The certificate to be renewed is not PEM that can be read.") from error

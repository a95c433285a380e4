"""What an ACME CA answers becomes the right error of the catalogue, with its own words and its Retry-After."""

import email.utils
import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import requests
from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from clients.egress import Request
from clients.issuers.acme_account import account_key
from clients.issuers.acme_chains import preferred
from clients.issuers.acme_network import LONGEST_WAIT_S, Network, code_of, retry_after, translated
from clients.issuers.acme_renewal_info import RenewalInformation, certificate_id
from schemas.errors import RedoubtError
from tests.servers import orders

PREFIX = messages.ERROR_PREFIX


def answer(status: int, body: object = None, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = b"" if body is None else json.dumps(body).encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


class Egress:
    """The egress client's place, held by a CA that always says the same."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response

    def exchange(self, _: Request) -> requests.Response:
        return self._response


def network(response: requests.Response) -> Network:
    key = account_key(orders.account_key())
    return Network("ca", key.jwk, key.algorithm, Egress(response))  # type: ignore[arg-type]  # it has what is used


def test_a_rate_limit_is_told_with_the_cas_words_and_its_time() -> None:
    problem = {"type": f"{PREFIX}rateLimited", "detail": "too many certificates for example.com"}
    with pytest.raises(RedoubtError) as caught:
        network(answer(429, problem, Retry_After="77")).get("https://ca.invalid/")
    error = caught.value
    assert (error.code, error.retry_after_s, error.type.retryable) == ("CaRateLimited", 77, True)
    assert "too many certificates for example.com" in error.detail


@pytest.mark.parametrize("body", [None, "no problem", [], {"type": 7}, {"detail": {}}])
def test_a_server_error_needs_no_words(body: object) -> None:
    with pytest.raises(RedoubtError) as caught:
        network(answer(503, body)).get("https://ca.invalid/")
    assert caught.value.code == "CaUnavailable"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("badCSR", "CaRefused"),
        ("rejectedIdentifier", "CaRefused"),
        ("invalidProfile", "CaRefused"),
        ("rateLimited", "CaRateLimited"),
        ("userActionRequired", "AccountRefused"),
        ("externalAccountRequired", "AccountRefused"),
        ("caa", "OrderInvalid"),
        ("dns", "OrderInvalid"),
    ],
)
def test_each_problem_is_one_of_our_errors(kind: str, code: str) -> None:
    said = messages.Error.from_json({"type": f"{PREFIX}{kind}", "detail": "why it is so"})
    assert code_of(said) == kind
    error = translated("ca", said, 400)
    assert error.code == code
    assert "why it is so" in error.detail


@pytest.mark.parametrize("kind", ["about:blank", "", "urn:else:badCSR", 7, None, [], {}])
def test_a_problem_of_another_kind_has_no_code(kind: object) -> None:
    said = messages.Error.from_json({"type": kind, "detail": kind})
    assert code_of(said) == ""
    assert translated("ca", said, 400).code == "CaRefused"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("99999999", LONGEST_WAIT_S),
        ("soon", None),
        ("-1", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_is_bounded(said: str, seconds: float | None) -> None:
    assert retry_after(answer(200, Retry_After=said)) == seconds


def test_retry_after_may_be_a_date() -> None:
    far = email.utils.formatdate(time.time() + 10**6, usegmt=True)
    assert retry_after(answer(200, Retry_After=far)) == LONGEST_WAIT_S
    assert retry_after(answer(200, Retry_After=far), 10.0) == 10
    assert retry_after(answer(200, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT")) == 0


def leaf(serial: int, *extensions: x509.ExtensionType) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    now, nobody = datetime.now(UTC), x509.Name([])
    builder = x509.CertificateBuilder(nobody, nobody, key.public_key(), serial, now, now + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("serial", "tail"),
    [(0x87654321, "AIdlQyE"), (0x7F, "fw"), (0x80, "AIA"), (0x0102, "AQI")],
)
def test_the_id_of_a_certificate_is_that_of_the_standard(serial: int, tail: str) -> None:
    """RFC 9773, 4.1: the key's identifier, and the serial number as in DER."""
    signed_by = bytes.fromhex("69885b6b87464041e1b37b847ba0ae2cde01c8d4")
    one = leaf(serial, x509.AuthorityKeyIdentifier(signed_by, None, None))
    assert certificate_id(one) == f"aYhba4dGQEHhs3uEe6CuLN4ByNQ.{tail}"


def test_a_certificate_that_does_not_say_who_signed_it_has_no_id() -> None:
    assert certificate_id(leaf(1)) is None
    assert certificate_id(leaf(1, x509.AuthorityKeyIdentifier(None, None, None))) is None


def test_a_chain_that_can_not_be_read_is_not_preferred() -> None:
    asked: list[int] = []

    def other() -> bytes:
        asked.append(1)
        return b"neither"

    assert preferred(b"no chain", [other] * 50, "Root") == b"no chain"
    assert len(asked) == 10


SUGGESTED = {"suggestedWindow": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-03T00:00:00Z"}}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ca.example.net/why", True),
        ("https://ca.example.net/" + "a" * 177, True),
        ("https://ca.example.net/" + "a" * 178, False),
        ("https://ca.example.net/" + "a" * 2048, False),
        ("https://ca.example.net/\nall is well", False),
        ("https://ca.example.net/\u202egnp", False),
        ("http://ca.example.net/why", False),
        ("javascript:alert(1)", False),
        (7, False),
        (None, False),
    ],
)
def test_a_page_that_explains_is_told_where_it_can_be_shown_and_never_costs_the_window(
    url: object, shown: bool
) -> None:
    account = SimpleNamespace(name="ca")
    given = RenewalInformation(account)._read(answer(200, {**SUGGESTED, "explanationURL": url}))  # type: ignore[arg-type]  # it has what is used
    assert (given.explanation_url, given.end - given.start) == (url if shown else "", timedelta(days=1))

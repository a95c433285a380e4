"""A list is asked of the issuer of ours that signs it, and from outside only where there is none."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from clients.egress import Answer, Egress, Request
from clients.issuers import Issuer
from schemas.errors import CaUnavailable, DependencyUnavailable
from schemas.settings.issuers import IssuerSettings
from tests.unit.issuers.test_local import ca_in
from workers.revocations import fetched

OWN = "http://pki.example.com/crl.der"
SETTINGS: dict[str, IssuerSettings] = TypeAdapter(dict[str, IssuerSettings]).validate_python(
    {"local": {"kind": "local", "path": "ca", "key_store": "keys", "crl_url": OWN}}
)


class Outside:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        return self._answer


def nobody() -> Egress:
    raise AssertionError("the list is not to be had from outside")


def no_issuer(name: str) -> Issuer:
    raise AssertionError(name)


def test_the_list_of_our_own_ca_does_not_go_outside(tmp_path: Path) -> None:
    ca = ca_in(tmp_path, crl_url=OWN)
    assert fetched(OWN, SETTINGS, lambda _: ca, nobody) == ca.crl()


def test_an_own_issuer_that_fails_is_not_replaced_by_what_its_address_says() -> None:
    def away(name: str) -> Issuer:
        raise CaUnavailable(name)

    with pytest.raises(CaUnavailable):
        fetched(OWN, SETTINGS, away, nobody)


def test_another_list_is_fetched_capped_and_no_issuer_is_asked() -> None:
    outside = Outside(Answer(200, "application/pkix-crl", b"list"))
    assert fetched("http://ca.example/crl", SETTINGS, no_issuer, lambda: outside) == b"list"
    (request,) = outside.asked
    assert (request.url, request.plain, request.largest) == ("http://ca.example/crl", True, 16 << 20)


@pytest.mark.parametrize("status", [204, 206, 304, 404, 503])
def test_an_answer_that_is_no_list_is_an_error(status: int) -> None:
    outside = Outside(Answer(status, "application/pkix-crl", b"list"))
    with pytest.raises(DependencyUnavailable, match=f"status {status}"):
        fetched("http://ca.example/crl", SETTINGS, no_issuer, lambda: outside)

"""Names that a challenge can't prove are told before anything is ordered, and so are names that are none."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from clients.settings.samples import COMPLETE
from schemas.settings import Settings
from schemas.settings.names import SubjectName

CHALLENGES: dict[str, dict[str, Any]] = {
    "http-01": {"kind": "http-01", "webroot": "/var/www/acme"},
    "tls-alpn-01": {"kind": "tls-alpn-01"},
    "dns-01": {
        "kind": "dns-01",
        "update": {"server": "ns1.example.com", "key_name": "redoubt", "secret": "env:TSIG"},
    },
    "dns-persist-01": {"kind": "dns-persist-01"},
}


def settings(kind: str, *names: str) -> dict[str, Any]:
    www = {**COMPLETE["certificates"]["www"], "names": list(names), "issuers": ["acme"]}
    acme = {**COMPLETE["issuers"]["acme"], "challenge": "one"}
    return {
        **COMPLETE,
        "issuers": {**COMPLETE["issuers"], "acme": acme},
        "challenges": {**COMPLETE["challenges"], "one": CHALLENGES[kind]},
        "certificates": {"www": www},
    }


@pytest.mark.parametrize("kind", CHALLENGES)
@pytest.mark.parametrize("name", ["www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"])
def test_what_a_kind_proves(kind: str, name: str) -> None:
    in_dns, wildcard = kind.startswith("dns-"), name.startswith("*.")
    given = settings(kind, "example.com", name) if wildcard else settings(kind, name)
    provable = name == "www.example.com" or wildcard == in_dns
    if provable:
        assert Settings.model_validate(given).certificates["www"].names[-1] == name
        return
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(given)
    words = str(caught.value.errors()[0]["ctx"]["error"])
    assert words.startswith(f"certificates.www.names holds {name}, and ")
    assert words.endswith(f"not by {kind} (of issuer acme)")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("www.example.com", "www.example.com"), ("10.0.0.20", "10.0.0.20"), ("2001:DB8:0::1", "2001:db8::1")],
)
def test_a_name_is_kept_in_its_shortest_form(given: str, kept: str) -> None:
    assert TypeAdapter(SubjectName).validate_python(given) == kept


@pytest.mark.parametrize(
    "name",
    ["10.0.0.256", "1.2.3.4.55", "example.99", ":", "::g", "*.10.0.0.20", "*", "www", "a b.example.com", ""],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SubjectName).validate_python(name)

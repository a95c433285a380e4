"""No value becomes a directive, and no PIN a readable line."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.targets import nginx
from schemas.errors import KeyUnsuitable, TargetUnreachable

URI = "pkcs11:token=demo;id=%01%ab;type=private"


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    file = tmp_path / "pin"
    file.write_bytes(b"1234567890")
    return file


def test_a_uri_as_a_key_store_gives_it_is_taken_as_it_is(pin_file: Path) -> None:
    uri = f"{URI}?pin-source=file:{pin_file}"
    assert nginx.engine_key(uri) == f"engine:pkcs11:{uri}"
    assert nginx.engine_key(URI, str(pin_file)) == f"engine:pkcs11:{uri}"
    assert nginx.engine_key(URI) == f"engine:pkcs11:{URI}"
    assert nginx.lines("/a/fullchain.pem", f"engine:pkcs11:{uri}").decode() == (
        'ssl_certificate "/a/fullchain.pem";\n'
        f'ssl_certificate_key "engine:pkcs11:{uri}";\n'
        "ssl_reject_handshake off;\n"
    )


@pytest.mark.parametrize(
    "uri",
    [
        f'{URI}"; root /; #',
        f"{URI};\nroot /",
        f"{URI};object=${{request_uri}}",
        f"{URI};object=a\\b",
        f"{URI};object={{",
        f"{URI};object=a b",
        "file:/etc/shadow",
        "pkcs11:",
        "pkcs11:;",
    ],
)
def test_a_uri_that_could_be_more_than_a_uri_is_refused(uri: str) -> None:
    with pytest.raises(KeyUnsuitable):
        nginx.engine_key(uri)


def test_a_pin_in_a_uri_is_refused_and_not_repeated() -> None:
    with pytest.raises(KeyUnsuitable, match="holds a PIN") as refused:
        nginx.engine_key(f"{URI}?pin-value=31337")
    assert "31337" not in str(refused.value)


def test_what_the_engine_does_not_take_is_refused_before_nginx_has_to() -> None:
    with pytest.raises(KeyUnsuitable, match="module-path"):
        nginx.engine_key(f"{URI}?module-path=/usr/lib/softhsm/libsofthsm2.so")


@pytest.mark.parametrize("pin", [b"", b"1234\n", b"1234\r\n", b"x" * 32])
def test_a_pin_file_that_the_engine_would_misread_costs_no_try(pin_file: Path, pin: bytes) -> None:
    pin_file.write_bytes(pin)
    with pytest.raises(KeyUnsuitable, match="without a line break"):
        nginx.engine_key(f"{URI}?pin-source=file:{pin_file}")
    pin_file.unlink()
    with pytest.raises(KeyUnsuitable, match="can't be read"):
        nginx.engine_key(f"{URI}?pin-source=file:{pin_file}")


@pytest.mark.parametrize(
    "path", ["relative/x", '/a"b', "/a;b", "/a b", "/a\nb", "/a$b", "/a{b", "/a#b", "/a\\b", "/ä"]
)
def test_a_path_that_could_be_more_than_a_path_is_refused(path: str) -> None:
    with pytest.raises(TargetUnreachable, match="web-1"):
        nginx.path("web-1", path)


@given(st.text(max_size=30))
def test_whatever_is_let_through_stays_inside_its_quotes(text: str) -> None:
    try:
        value = nginx.engine_key(f"pkcs11:object={text}")
    except KeyUnsuitable:
        return
    (certificate, key, reject) = nginx.lines("/c", value).decode("ascii").splitlines()
    assert (certificate, reject) == ('ssl_certificate "/c";', "ssl_reject_handshake off;")
    assert re.fullmatch(r'ssl_certificate_key "[^"\\$\s{}#\']+";', key)

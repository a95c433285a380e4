"""All listeners of ours, from the one list of them, against clients that the policy refuses: none is forgotten."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from clients.challenges.tls_alpn01 import PROTOCOL
from clients.tls import groups
from schemas.listeners import Listener
from schemas.settings.tls import is_loopback
from tests.integration.tls.conftest import LISTENERS, Site, alpn_listener
from tests.integration.tls.hellos import goes_on, hello, with_strange_suites

ROOT = Path(__file__).parents[3]
ROOMS = ("activities", "api", "cli", "clients", "rules", "schemas", "store", "workers", "workflows")
OPENS = re.compile(
    r"\b(create_server|start_server|start_unix_server|create_unix_server|start_http_server|serve_forever|"
    r"HTTPServer|\w*HTTPServer|uvicorn\.run|\.bind\(\()"
)
OTHERS = {
    Listener.METRICS: "on loopback alone, in plain",
    Listener.TLS_ALPN_01: "shows certificates made for one proof, and asks for none",
}
OPENERS = {
    "clients/listeners/sockets.py": "opens them all",
    "workers/health.py": "serves on sockets of clients/listeners",
    "clients/challenges/tls_alpn01.py": "serves on sockets of clients/listeners",
    "cli/dev/ports.py": "looks for a free port",
    "cli/dev/process.py": "looks for a free port",
}
TLS = [*LISTENERS, Listener.TLS_ALPN_01]


def test_every_listener_is_walked_or_says_why_not() -> None:
    assert set(LISTENERS) | set(OTHERS) == set(Listener)
    assert not set(LISTENERS) & set(OTHERS)


def test_no_module_opens_a_port_past_the_list() -> None:
    found = {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if OPENS.search(file.read_text())
    }
    assert found == set(OPENERS)


def test_the_one_in_plain_is_on_loopback() -> None:
    from api.metrics import _LOOPBACK  # noqa: PLC0415

    assert is_loopback(_LOOPBACK)


async def taken(port: int, message: bytes) -> bool:
    return await asyncio.to_thread(goes_on, port, message)


def opened(listener: Listener, site: Site) -> AbstractAsyncContextManager[int]:
    return alpn_listener() if listener is Listener.TLS_ALPN_01 else LISTENERS[listener](site.tls())


def protocols(listener: Listener) -> Sequence[str]:
    return (PROTOCOL,) if listener is Listener.TLS_ALPN_01 else ("http/1.1",)


@pytest.mark.parametrize("listener", TLS)
async def test_the_policys_groups_are_taken_and_no_other(site: Site, listener: Listener) -> None:
    async with opened(listener, site) as port:
        for group in ("X25519", "prime256v1", "secp384r1"):
            assert await taken(port, hello(group, protocols=protocols(listener))), group
        for group in ("secp521r1", "X448", "ffdhe2048"):
            assert not await taken(port, hello(group, protocols=protocols(listener))), group


@pytest.mark.parametrize("listener", TLS)
async def test_a_suite_that_the_policy_has_not_is_refused(site: Site, listener: Listener) -> None:
    async with opened(listener, site) as port:
        asked = hello(protocols=protocols(listener))
        assert await taken(port, asked)
        assert not await taken(port, with_strange_suites(asked))


@pytest.mark.parametrize("listener", TLS)
async def test_tls_1_2_is_refused(site: Site, listener: Listener) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="api.example.test").do_handshake()
    async with opened(listener, site) as port:
        assert not await taken(port, out.read())


def test_a_process_offers_the_policys_groups_as_a_client_too() -> None:
    assert groups.narrow()
    assert set(groups.offered()) <= set(groups.GROUPS.values())
    assert {groups.GROUPS[name] for name in ("X25519", "P-256", "P-384")} <= set(groups.offered())

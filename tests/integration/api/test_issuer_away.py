"""An OIDC issuer that is there, hangs or is away: whom it holds up, and whom it does not."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from activities.policies import Held
from clients.egress.client import EgressClient
from clients.identities import key_sets
from clients.identities.key_sets import KeySet
from clients.identities.oidc import Issuer, OidcTokens
from schemas.policies import OidcIdentity, PrincipalEntry
from tests.conformance.test_authenticators import OWN, STRANGER, jwk, token
from tests.servers.hostile import Identity, answering, serving
from tests.unit.api.test_api import POLICY, House


@dataclass
class Silent:
    door: socket.socket
    house: House
    taken: list[socket.socket] = field(default_factory=list)

    async def asked(self) -> int:
        """By how many connections, once there is one; they stay unanswered."""
        self.door.settimeout(60)
        self.taken.append((await asyncio.to_thread(self.door.accept))[0])
        self.door.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.taken.append(self.door.accept()[0])
        return len(self.taken)

    def leave(self) -> None:
        for one in (self.door, *self.taken):
            one.close()

    async def log_in(self) -> int:
        shown = token(iss=self.issuer).bearer
        answer = await self.house.ask("GET", "/v1/types", headers={"authorization": f"Bearer {shown}"})
        return answer.status_code

    @property
    def issuer(self) -> str:
        return issuer_at(self.door)


def issuer_at(door: socket.socket) -> str:
    return f"https://localhost:{door.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[Silent]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:
        egress = EgressClient(
            ("127.0.0.0/8",),
            look_up=lambda _host, port: [(socket.AF_INET, ("127.0.0.1", port))],
        )
        keys = KeySet(issuer_at(door), egress)
        tokens = OidcTokens([Issuer(issuer_at(door), "redoubt", ("ES256",), keys)])
        yield Silent(door, House(Held(POLICY, "a" * 64), tokens))


async def test_it_is_asked_once_at_a_time_and_holds_up_nobody_who_shows_something_else(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sets, "WAIT_S", 600)
    waiting = [asyncio.create_task(silent.log_in()) for _ in range(40)]
    assert (await silent.house.ask("GET", "/v1/types", "vera")).status_code == 200
    assert not any(task.done() for task in waiting)
    assert await silent.asked() == 1
    silent.leave()
    assert set(await asyncio.gather(*waiting)) == {503}


async def test_who_needs_it_is_told_so_before_long(silent: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_sets, "WAIT_S", 0.1)
    assert await silent.log_in() == 503
    assert await silent.log_in() == 503
    assert await silent.asked() == 1
    silent.leave()


async def test_known_keys_are_used_for_an_hour_while_their_issuer_is_away(tmp_path: Path) -> None:
    """By discovery over TLS that is verified, as in production; then nobody listens there any more."""
    identity, now = Identity(tmp_path, "login.example.test"), [0.0]
    egress = EgressClient(
        ("127.0.0.0/8",),
        str(identity.ca_file),
        look_up=lambda _host, port: [(socket.AF_INET, ("127.0.0.1", port))],
    )
    with serving(identity=identity) as login:
        issuer = f"https://login.example.test:{login.port}"
        discovery, keys = "/.well-known/openid-configuration", "/keys"
        login.behaviours[discovery] = answering(
            {"issuer": issuer, "jwks_uri": issuer + keys}, Connection="close"
        )
        login.behaviours[keys] = answering({"keys": [jwk(OWN, "k1")]}, Connection="close")
        known = KeySet(issuer, egress, lambda: now[0])
        policy = POLICY.model_copy(
            update={
                "principals": {
                    **POLICY.principals,
                    "vera": PrincipalEntry(oidc=(OidcIdentity(issuer=issuer, subject="anna-1"),)),
                }
            }
        )
        house = House(Held(policy, "a" * 64), OidcTokens([Issuer(issuer, "redoubt", ("ES256",), known)]))

        async def log_in(**of: Any) -> int:
            headers = {"authorization": f"Bearer {token(iss=issuer, **of).bearer}"}
            return (await house.ask("GET", "/v1/types", headers=headers)).status_code

        assert [await log_in(), await log_in(key=STRANGER)] == [200, 401]
        assert [path for _, path, _ in login.asked] == [discovery, keys]
    for now[0] in (1.0, key_sets.REFRESHED_S, key_sets.KEPT_S - 1):
        assert await log_in() == 200
    now[0] = key_sets.KEPT_S
    assert await log_in() == 503

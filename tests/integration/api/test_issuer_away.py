"""An OIDC issuer that takes connections and says nothing: whom it holds up, and whom it does not."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from activities.policies import Held
from clients.egress.client import EgressClient
from clients.identities import key_sets
from clients.identities.key_sets import KeySet
from clients.identities.oidc import Issuer, OidcTokens
from tests.conformance.test_authenticators import token
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

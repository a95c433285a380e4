"""Signing a start or an update may have to wait for a key: nothing else waits with it."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

from cli.cluster import Cluster
from cli.runs import _requested
from cli.signing import Chosen, Signing
from rules.requests import Facing
from schemas.principals import Act, Principal, Shown
from tests.unit.policies.people import pem

FACING = Facing("test", "default", Act.START, "CertificateRenewal", "certificate-renewal/www", "0" * 64)


class SlowVault:
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def resolve(self, _reference: str) -> bytes:
        self.asked.set()
        assert self.let_go.wait(60)
        return pem()


async def test_others_are_served_while_a_key_is_waited_for() -> None:
    vault = SlowVault()
    cluster = cast("Any", SimpleNamespace(wiring=SimpleNamespace(secrets=lambda: vault)))
    signing = Signing(Principal(name="olga", shown=Shown.API_KEY), Chosen(key="vault:kv/api#key"))
    signed = asyncio.create_task(_requested(cast("Cluster", cluster), signing, FACING))
    await asyncio.to_thread(vault.asked.wait, 60)
    vault.let_go.set()  # reached only where the loop is not held
    assert (await signed).principal.name == "olga"

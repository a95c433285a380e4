"""The HTTP API as a process: built from the settings, refusing to start where it could not vouch for anybody."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from api.app import create_app
from api.authentication import Door
from api.guard import Guard
from api.runs import Runs
from api.serve import serve
from clients.signers.file import FileSigner
from clients.telemetry import configure_logging
from clients.tls import groups
from rules.requests import fingerprint_of, key_of
from schemas.errors import InvalidSettings, NotAuthorized
from schemas.listeners import Listener
from schemas.settings import Settings
from workers.health import Readiness
from workers.needs import api_secrets, shared_secrets
from workers.startup import check_key_ring, check_secrets
from workers.wiring import Wiring

RunsBy = Callable[[Wiring, str], Runs]
"""How runs are started and told, by the reference to the key that vouches."""
_OWN: Final = "own"
"""The signer knows no name of the policy's; its key is found by its fingerprint."""


def run(settings: Settings, runs: RunsBy) -> None:
    """Serve until SIGTERM or SIGINT. Raises what stands in the way before the port is opened."""
    logs = configure_logging(settings.telemetry, service="api")
    wiring, given = Wiring(settings, service="api"), settings.api
    try:
        groups.narrow()
        serve(
            build(wiring, runs),
            Listener.API,
            given.host,
            given.port,
            tls=given.tls,
            metrics_port=given.metrics_port,
        )
    finally:
        wiring.close()
        logs.stop()


def build(wiring: Wiring, runs: RunsBy) -> Guard:
    """The application. Raises what stands in the way of serving: no policy, no key, or one that may not vouch."""
    check_secrets(wiring, shared_secrets, api_secrets)
    wiring.check_schema()
    check_key_ring(wiring)
    reference = _signing_key(wiring)
    door = Door(wiring.policies().current, wiring.authority().authenticators(), wiring.journal().note)
    readiness = Readiness({"records": partial(asyncio.to_thread, wiring.check_records)})
    return create_app(door, runs(wiring, reference), readiness.found)


def _signing_key(wiring: Wiring) -> str:
    """The reference to the key that vouches; the policy lets its owner do so."""
    held = wiring.policies().current()
    if held is None:
        raise NotAuthorized(
            "The API needs a policy, and the settings name none. Write one, apply it with `redoubt policy apply`, "
            "and set policy.root_sha256."
        )
    reference = wiring.settings.api.signing_key
    if reference is None:
        raise InvalidSettings(
            "The API needs api.signing_key: the Ed25519 key by which it vouches for who asked."
        )
    key = FileSigner(_OWN, reference, wiring.secrets()).key
    found = key_of(held.policy, fingerprint_of(key))
    if found is None or not held.policy.principals[found[0]].vouches_for:
        raise NotAuthorized(
            "The policy names no principal with `vouches_for` whose key is that of api.signing_key."
        )
    return reference

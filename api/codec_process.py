"""The codec server as a process: built from the settings, refusing to start where it would be open or useless."""

import asyncio
from functools import partial

from api.authentication import Door
from api.codec_server import create_app
from api.readers import PATH, TOKEN, Credentials, Principals, SharedSecrets
from api.serve import serve
from clients.telemetry import configure_logging
from clients.tls import groups
from schemas.listeners import Listener
from schemas.settings import Settings
from workers.health import Readiness
from workers.needs import codec_server_secrets, shared_secrets
from workers.startup import check_key_ring, check_secrets
from workers.wiring import Wiring


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises what stands in the way before the port is opened."""
    logs = configure_logging(settings.telemetry, service="codec-server")
    wiring = Wiring(settings, service="codec-server")
    try:
        groups.narrow()
        check_secrets(wiring, shared_secrets, codec_server_secrets)
        wiring.check_schema()
        check_key_ring(wiring)
        given = settings.codec_server
        readiness = Readiness({"records": partial(asyncio.to_thread, wiring.check_records)})
        app = create_app(
            _readers(wiring), given.allowed_origins, wiring.codec(), wiring.journal().note, readiness.found
        )
        serve(
            app,
            Listener.CODEC_SERVER,
            given.host,
            given.port,
            tls=given.tls,
            metrics_port=given.metrics_port,
        )
    finally:
        wiring.close()
        logs.stop()


def _readers(wiring: Wiring) -> SharedSecrets | Principals:
    given = wiring.settings.codec_server
    credentials = Credentials(_secret(wiring, given.token), _secret(wiring, given.secret_path))
    if wiring.settings.policy.root_sha256 is None:
        return SharedSecrets(credentials)
    policy, holders = (
        wiring.policies().current,
        {TOKEN: given.token_principal, PATH: given.secret_path_principal},
    )
    door = Door(policy, wiring.authority().authenticators(), wiring.journal().note)
    return Principals(credentials, door, policy, holders)


def _secret(wiring: Wiring, reference: str | None) -> bytes | None:
    return None if reference is None else wiring.secrets().resolve(reference)

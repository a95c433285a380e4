"""A client of the Temporal frontend that the settings name, with TLS and API key from their references."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from temporalio.client import Client, Plugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, TLSConfig

from clients.secrets import SecretSource
from schemas.errors import DependencyUnavailable, InvalidSettings
from schemas.settings.temporal import TemporalSettings, TemporalTls

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
PATIENCE: Final = timedelta(seconds=10)


async def connect(
    settings: TemporalSettings,
    namespace: str,
    secrets: SecretSource,
    plugin: Plugin,
    runtime: Runtime | None = None,
) -> Client:
    """Raises `DependencyUnavailable` when nobody answers at the address."""
    try:
        return await Client.connect(
            settings.address,
            namespace=namespace,
            plugins=[plugin],
            tls=_tls(settings.tls, secrets) if settings.tls else _needs_tls(settings),
            api_key=secrets.resolve(settings.api_key).decode() if settings.api_key else None,
            connect_timeout=PATIENCE,
            runtime=runtime,
        )
    except (RuntimeError, RPCError) as refused:
        raise DependencyUnavailable(f"Temporal at {settings.address} does not answer.") from refused


def _needs_tls(settings: TemporalSettings) -> bool:
    """An API key never leaves this machine in plain: without `tls` it goes by the system's roots."""
    return settings.api_key is not None and settings.address.rpartition(":")[0] not in LOOPBACK


def _tls(settings: TemporalTls, secrets: SecretSource) -> TLSConfig:
    return TLSConfig(
        server_root_ca_cert=_read(settings.ca_file),
        domain=settings.server_name,
        client_cert=_read(settings.client_certificate_file) if settings.client_certificate_file else None,
        client_private_key=secrets.resolve(settings.client_key) if settings.client_key else None,
    )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as missing:
        raise InvalidSettings(f"temporal.tls names {path}, which can't be read.") from missing

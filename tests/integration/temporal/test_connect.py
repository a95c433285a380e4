"""Connections as the settings describe them: TLS that is verified both ways, an API key, nobody there."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

from cli.dev.process import free_port
from clients.secrets.resolver import Secrets
from clients.temporal.codec import RedoubtCodec
from clients.temporal.connect import connect
from clients.temporal.plugin import RedoubtPlugin
from schemas.errors import DependencyUnavailable, InvalidSettings
from schemas.settings.temporal import TemporalSettings, TemporalTls
from tests.conftest import DevServer
from tests.replay.ring import TestOnlyRing

PLUGIN = RedoubtPlugin(RedoubtCodec(TestOnlyRing()))


@dataclass(frozen=True)
class Identity:
    certificate: Path
    key: Path


def self_signed(folder: Path, name: str) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.touch(mode=0o600)
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


@dataclass(frozen=True)
class Front:
    address: str
    server: Identity
    client: Identity


@pytest_asyncio.fixture
async def front(temporal_server: DevServer, tmp_path: Path) -> AsyncIterator[Front]:
    """TLS before the dev server, which has none; it asks for the client's certificate."""
    server, client = self_signed(tmp_path, "temporal.test"), self_signed(tmp_path, "worker.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client.certificate))
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    host, port = temporal_server.address.split(":")

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
        ways = [
            asyncio.create_task(pump(reader, behind_writer)),
            asyncio.create_task(pump(behind_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (writer, behind_writer):
                end.transport.abort()
            await asyncio.wait(ways)

    door = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield Front(f"127.0.0.1:{door.sockets[0].getsockname()[1]}", server, client)
    door.close()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until either end is closed."""
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


def settings(front: Front, *, ca: Path, client: Identity | None) -> TemporalSettings:
    tls = TemporalTls(
        ca_file=str(ca),
        server_name="temporal.test",
        client_certificate_file=str(client.certificate) if client else None,
        client_key=f"file:{client.key}" if client else None,
    )
    return TemporalSettings(address=front.address, tls=tls)


async def test_tls_is_verified_both_ways(front: Front) -> None:
    good = settings(front, ca=front.server.certificate, client=front.client)
    client = await connect(good, "default", Secrets(), PLUGIN)
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    assert info.server_version
    for bad in (
        settings(front, ca=front.client.certificate, client=front.client),
        settings(front, ca=front.server.certificate, client=None),
    ):
        with pytest.raises(DependencyUnavailable, match="does not answer"):
            await connect(bad, "default", Secrets(), PLUGIN)


async def test_a_certificate_that_is_not_there_is_named(front: Front, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="absent"):
        await connect(
            settings(front, ca=tmp_path / "absent.pem", client=front.client), "default", Secrets(), PLUGIN
        )


async def test_the_api_key_comes_from_its_reference(temporal_server: DevServer, tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    file.touch(mode=0o600)
    file.write_text("b4c1d0e6f7a8493c8e5d2f1a0b9c8d7e")
    given = TemporalSettings(address=temporal_server.address, api_key=f"file:{file}")
    client = await connect(given, "default", Secrets(), PLUGIN)
    assert client.service_client.config.api_key == file.read_text()


async def test_nobody_there_is_said_with_the_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(DependencyUnavailable, match=address):
        await connect(TemporalSettings(address=address), "default", Secrets(), PLUGIN)

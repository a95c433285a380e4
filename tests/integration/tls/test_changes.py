"""Files that change under a listener: renewed, broken, revoked, and under load."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from clients.targets import Bundle, Fence
from clients.targets.files import FilesTarget
from clients.tls.counting import Counts
from clients.tls.listener import ListenerContext
from clients.x509 import X509Reader
from schemas.errors import InvalidSettings
from schemas.settings.targets import FilesTarget as FilesSettings
from tests.integration.tls.conftest import Open, Site, uvicorn_listener
from tests.integration.tls.material import NAME, Client, Seen, TlsCa, named, pem_file, put
from tests.integration.tls.test_walk import get, refused

CLIENTS, ROTATIONS = 6, 5


def files_target(folder: Path) -> FilesTarget:
    folder.mkdir(mode=0o700)
    given = {
        "name": "api",
        "directory": str(folder),
        "reload": ["true"],
        "verify": {"host": "127.0.0.1", "port": 1},
        "keep_versions": 1,
    }
    return FilesTarget(FilesSettings.model_validate(given))


def renew(target: FilesTarget, site: Site, number: int) -> str:
    """Key, request, certificate, new version beside the old one, switch, and the old versions go."""
    key_id, fence = f"{number:04x}", Fence(operation=f"operation-{number:04}", epoch=1)
    chain = site.ca.answer(target.make_key(key_id, "EC-P256", (NAME,)))
    version = X509Reader().read(chain).fingerprint
    target.stage(Bundle(version=version, fullchain=chain, key_id=key_id, key_uri=None), fence)
    target.switch(version, fence)
    target.retire((), fence)
    return version


async def test_a_renewal_under_load_fails_no_handshake_and_cuts_no_request(
    site: Site, listener: Open
) -> None:
    """By the target that renewals use, to new keys; each client makes a new connection for each request."""
    client, over, target = site.without, asyncio.Event(), files_target(site.folder / "renewed")
    shown: set[str] = set()
    versions = {renew(target, site, 0)}

    async def all_shown() -> None:
        async with asyncio.timeout(60):
            while shown != versions:
                await asyncio.sleep(0.01)
                assert not any(task.done() for task in load)

    async def asking(port: int) -> int:
        served = 0
        while not over.is_set():
            seen = await get(client, port)
            assert seen.status == 200
            shown.add(seen.fingerprint)
            served += 1
        return served

    tls = site.tls(certificates=[{"directory": str(site.folder / "renewed")}])
    async with listener(tls) as port:
        load = [asyncio.create_task(asking(port)) for _ in range(CLIENTS)]
        try:
            await all_shown()
            for _ in range(ROTATIONS):
                versions.add(await asyncio.to_thread(renew, target, site, len(versions)))
                await all_shown()
        finally:
            over.set()
        served = await asyncio.gather(*load)
    assert min(served) >= 1


async def test_a_request_that_is_under_way_ends_on_the_connection_that_it_began_on(site: Site) -> None:
    async with uvicorn_listener(site.tls()) as port:
        context = site.without.context()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
        writer.write(f"POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 2\r\n\r\na".encode())
        await writer.drain()
        renewed = site.ca.server(NAME)
        put(site.folder / "api", renewed)
        assert (await get(site.without, port)).fingerprint == renewed.fingerprint
        writer.write(b"b")
        assert b"200" in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_a_broken_certificate_is_not_taken_and_the_next_good_one_is(site: Site) -> None:
    registry, folder = CollectorRegistry(), site.folder / "api"
    async with uvicorn_listener(site.tls(), registry) as port:
        before = await get(site.without, port)
        good, foreign = site.ca.server(NAME), site.ca.server(NAME)
        foreign.key = good.key  # a key that is not the certificate's
        put(folder, foreign)
        assert (await get(site.without, port)).fingerprint == before.fingerprint
        open_key = site.ca.server(NAME)
        put(folder, open_key)
        (folder / "versions" / open_key.fingerprint / "key.pem").chmod(0o644)
        assert (await get(site.without, port)).fingerprint == before.fingerprint
        (folder / "current").unlink()
        assert (await get(site.without, port)).fingerprint == before.fingerprint
        put(folder, good)
        assert (await get(site.without, port)).fingerprint == good.fingerprint

    def taken(outcome: str) -> float | None:
        labels = {"listener": "api", "what": NAME, "outcome": outcome}
        return registry.get_sample_value("redoubt_tls_reloads_total", labels)

    assert taken("accepted") == 1
    assert (taken("refused") or 0) >= 2


async def resumed(client: Client, port: int, context: ssl.SSLContext, before: Seen) -> Seen:
    return await get(client, port, context=context, session=before.session)


async def test_who_is_revoked_is_out_at_once_and_can_not_resume(site: Site) -> None:
    robot = site.ca.client("robot")
    client = Client(site.ca.root, pem_file(site.folder, "robot", robot))
    context = client.context()
    async with uvicorn_listener(site.tls("required")) as port:
        first = await get(client, port, context=context)
        assert (await resumed(client, port, context, first)).resumed
        site.ca.revoked.append(robot.certificate.serial_number)
        (site.folder / "clients.crl").write_bytes(site.ca.crl())
        await refused(client, port, context=context, session=first.session)
        await refused(client, port)
        assert (await get(site.client(), port)).status == 200


async def test_the_ca_of_clients_changes_and_a_broken_one_is_not_taken(site: Site) -> None:
    new_ca = TlsCa(name=named("the next CA"))
    new = Client(site.ca.root, pem_file(site.folder, "new", new_ca.client()))
    tls = site.tls("required", client_crl_file=None)
    async with uvicorn_listener(tls) as port:
        await refused(new, port)
        (site.folder / "clients.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n")
        assert (await get(site.client(), port)).status == 200
        (site.folder / "clients.pem").write_bytes(new_ca.root)
        assert (await get(new, port)).status == 200
        await refused(site.client(), port)


async def test_a_broken_certificate_does_not_keep_a_crl_from_being_taken(site: Site) -> None:
    robot = site.ca.client("robot")
    client = Client(site.ca.root, pem_file(site.folder, "robot", robot))
    async with uvicorn_listener(site.tls("required")) as port:
        before = await get(client, port)
        foreign = site.ca.server(NAME)
        foreign.key = site.ca.server(NAME).key
        put(site.folder / "api", foreign)
        site.ca.revoked.append(robot.certificate.serial_number)
        (site.folder / "clients.crl").write_bytes(site.ca.crl())
        await refused(client, port)
        assert (await get(site.client(), port)).fingerprint == before.fingerprint


async def test_a_listener_waits_for_its_first_certificate_and_refuses_until_then(site: Site) -> None:
    """The first renewal is verified by a handshake with the listener that it is for."""
    registry, folder = CollectorRegistry(), site.folder / "first"
    folder.mkdir(mode=0o700)
    tls = site.tls(certificates=[{"directory": str(folder)}])
    async with uvicorn_listener(tls, registry) as port:
        await refused(site.without, port)
        first = site.ca.server(NAME)
        put(folder, first)
        assert (await get(site.without, port)).fingerprint == first.fingerprint
    labels = {"listener": "api", "reason": "no-certificate-yet"}
    assert registry.get_sample_value("redoubt_tls_handshake_failures_total", labels) == 1


def foreign_current(site: Site) -> None:
    (site.folder / "api" / "current").unlink()
    (site.folder / "api" / "current").symlink_to("/etc")


def no_folder(site: Site) -> None:
    (site.folder / "api").rename(site.folder / "elsewhere")


def key_in_a_token(site: Site) -> None:
    (site.folder / "api" / "current" / "key.pem").unlink()


def open_folder(site: Site) -> None:
    (site.folder / "api").chmod(0o777)


def no_ca(site: Site) -> None:
    (site.folder / "clients.pem").write_bytes(b"")


def no_crl(site: Site) -> None:
    (site.folder / "clients.crl").write_bytes(b"")


def no_file(site: Site) -> None:
    (site.folder / "clients.pem").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (foreign_current, "was changed by someone else"),
        (no_folder, "No such file or directory"),
        (key_in_a_token, "a key in a token can't serve"),
        (open_folder, "open to other users"),
        (no_ca, "client_ca_file holds no CA"),
        (no_crl, "client_crl_file holds no CRL"),
        (no_file, "No such file or directory"),
    ],
)
def test_a_listener_does_not_open_without_what_it_needs(
    site: Site, spoil: Callable[[Site], None], said: str
) -> None:
    spoil(site)
    with pytest.raises(InvalidSettings, match=said) as refusal:
        ListenerContext(site.tls("required"), Counts("test"))
    assert "PRIVATE" not in str(refusal.value)

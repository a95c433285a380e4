"""Every listener, walked: old TLS, no TLS, and every sort of client certificate."""

import asyncio
import datetime as dt
import http.client
import json
import ssl
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.integration.tls.conftest import Open, Site, uvicorn_listener
from tests.integration.tls.material import NAME, OTHER, Client, Seen, pem_file, put

REFUSED = (ssl.SSLError, OSError, http.client.HTTPException)
"""A refusal reaches the client while it shakes hands or when it first reads (TLS 1.3)."""


async def get(client: Client, port: int, **how: Any) -> Seen:
    return await asyncio.to_thread(client.get, port, **how)


async def refused(client: Client, port: int, **how: Any) -> None:
    with pytest.raises(REFUSED):
        await get(client, port, **how)


async def test_tls_1_3_is_served_and_nothing_older_or_plain(site: Site, listener: Open) -> None:
    async with listener(site.tls()) as port:
        assert (await get(site.without, port)).status == 200
        await refused(Client(site.ca.root, newest=ssl.TLSVersion.TLSv1_2), port)

        def plainly() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("GET", "/livez")
                return connection.getresponse().status
            finally:
                connection.close()

        with pytest.raises(REFUSED):
            await asyncio.to_thread(plainly)
        assert (await get(site.without, port)).status == 200


async def test_where_a_client_certificate_is_required_only_a_good_one_is_admitted(
    site: Site, listener: Open
) -> None:
    gone = site.ca.client("gone")
    site.ca.revoked.append(gone.certificate.serial_number)
    (site.folder / "clients.crl").write_bytes(site.ca.crl())
    revoked = Client(site.ca.root, pem_file(site.folder, "gone", gone))
    server_only = Client(site.ca.root, pem_file(site.folder, "server", site.ca.server("x.clients.test")))
    async with listener(site.tls("required")) as port:
        assert (await get(site.client(), port)).status == 200
        for client in (
            site.without,
            site.client(ends_in=dt.timedelta(days=-1)),
            revoked,
            site.stranger,
            server_only,
        ):
            await refused(client, port)
        assert (await get(site.client(), port)).status == 200


async def test_where_it_is_optional_none_is_admitted_and_a_bad_one_is_not(site: Site, listener: Open) -> None:
    async with listener(site.tls("optional")) as port:
        assert (await get(site.client(), port)).status == 200
        assert (await get(site.without, port)).status == 200
        await refused(site.stranger, port)
        await refused(site.client(ends_in=dt.timedelta(days=-1)), port)


async def test_a_name_that_is_not_served_gets_no_certificate(site: Site, listener: Open) -> None:
    async with listener(site.tls()) as port:
        await refused(site.without, port, name="stranger.example.test")
        assert (await get(site.without, port)).status == 200


async def test_each_name_has_its_certificate_and_changes_alone(site: Site, listener: Open) -> None:
    first, second = site.folder / "api", site.folder / "codec"
    put(second, site.ca.server(OTHER, f"*.{OTHER}"))
    tls = site.tls(certificates=[{"directory": str(first)}, {"directory": str(second)}])
    async with listener(tls) as port:
        api = await get(site.without, port)
        before = await get(site.without, port, name=f"a.{OTHER}")
        assert before.fingerprint != api.fingerprint
        renewed = site.ca.server(OTHER)
        put(second, renewed)
        assert (await get(site.without, port, name=OTHER)).fingerprint == renewed.fingerprint
        assert (await get(site.without, port, name=NAME)).fingerprint == api.fingerprint


async def test_what_is_known_of_the_client_reaches_the_application_and_headers_do_not_count(
    site: Site,
) -> None:
    robot = site.ca.client("robot")
    client = Client(site.ca.root, pem_file(site.folder, "robot", robot))
    async with uvicorn_listener(site.tls("optional")) as port:
        told = json.loads((await get(client, port)).body)
        assert told["client_cert_chain"] == [robot.chain.decode()]
        assert told["client_cert_name"] == "CN=robot"
        assert told["tls_version"] == 0x0304
        assert told["cipher_suite"] in {0x1301, 0x1302, 0x1303}
        current = (site.folder / "api" / "current" / "fullchain.pem").read_text()
        assert told["server_cert"] == current
        assert json.loads((await get(site.without, port)).body)["client_cert_chain"] == []


async def test_failures_are_counted_by_reason_and_resumption_by_share(site: Site) -> None:
    registry = CollectorRegistry()
    client = site.client()
    context = client.context()

    def count(name: str, **labels: str) -> float:
        return registry.get_sample_value(name, {"listener": "api", **labels}) or 0.0

    async with uvicorn_listener(site.tls("required"), registry) as port:
        first = await get(client, port, context=context)
        again = await get(client, port, context=context, session=first.session)
        assert (first.resumed, again.resumed) == (False, True)
        assert json.loads(again.body)["client_cert_chain"] == json.loads(first.body)["client_cert_chain"]
        await refused(site.without, port)
        await refused(site.stranger, port)
        await refused(Client(site.ca.root, newest=ssl.TLSVersion.TLSv1_2), port)
        await refused(site.client(), port, name=OTHER)
    assert count("redoubt_tls_handshakes_total", resumed="yes") == 1
    assert count("redoubt_tls_handshakes_total", resumed="no") == 1
    failures = "redoubt_tls_handshake_failures_total"
    for reason in ("no-client-certificate", "client-ca-unknown", "old-tls-version", "unknown-name"):
        assert count(failures, reason=reason) == 1, reason
    assert count("redoubt_tls_handshakes_begun_total") == 6

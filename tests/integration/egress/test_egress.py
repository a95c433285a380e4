"""The egress client against real servers on loopback that lie, stall, redirect and never end."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clients.egress import Request, lookups
from clients.egress.client import EgressClient
from clients.egress.connections import Found, resolve
from schemas.errors import DependencyUnavailable, EgressRefused
from tests.servers.hostile import Hostile, Identity, answering, serving

ALLOWED = ("127.0.0.0/8",)
NAME = "ca.example.test"
LONG_S = 60.0


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity(tmp_path_factory.mktemp("identity"), NAME)


@pytest.fixture
def server(identity: Identity) -> Iterator[Hostile]:
    with serving(identity=identity) as started:
        started.behaviours["/"] = answering({"well": True})
        yield started


class Dns:
    """Answers with these addresses, one after another, the last for ever; counts how often it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    def __call__(self, _host: str, port: int) -> list[Found]:
        self.asked += 1
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, (address, port))]


def client_of(identity: Identity, dns: Callable[[str, int], list[Found]] | None = None) -> EgressClient:
    return EgressClient(ALLOWED, str(identity.ca_file), look_up=dns or Dns("127.0.0.1"))


def to(server: Hostile, path: str = "/") -> Request:
    return Request(f"https://{NAME}:{server.port}{path}", "the CA test", within_s=LONG_S)


def test_an_honest_answer_is_read_whole_and_nothing_of_the_environment_goes_along(
    server: Hostile, identity: Identity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text(f"machine {NAME} login user password planted\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    server.behaviours["/"] = answering({"well": True}, Set_Cookie="a=b; Path=/")
    client = client_of(identity)
    for _ in range(2):
        answer = client.send(to(server))
        assert (answer.status, answer.content_type, answer.body) == (
            200,
            "application/json",
            b'{"well": true}',
        )
    for _, _, headers in server.asked:
        assert not {"Authorization", "Cookie"} & set(headers)
        assert headers["Accept-Encoding"] == "identity"


def test_a_name_is_resolved_once_and_the_connection_goes_there(identity: Identity) -> None:
    with serving("127.0.0.2", identity=identity) as first:
        first.behaviours["/"] = answering({"first": True})
        with serving("127.0.0.3", first.port, identity) as second:
            second.behaviours["/"] = answering({"second": True})
            dns = Dns("127.0.0.2", "127.0.0.3")
            assert b"first" in client_of(identity, dns).send(to(first)).body
    assert dns.asked == 1
    assert not second.asked


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "192.168.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
)
def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(
    server: Hostile, identity: Identity, address: str
) -> None:
    with pytest.raises(EgressRefused, match=NAME):
        client_of(identity, Dns(address)).send(to(server))
    assert not server.asked


def test_a_name_that_is_rebound_inside_after_the_first_answer_is_refused(
    server: Hostile, identity: Identity
) -> None:
    server.behaviours["/"] = answering({}, Connection="close")
    client = client_of(identity, Dns("127.0.0.1", "10.0.0.1"))
    assert client.send(to(server)).status == 200
    with pytest.raises(EgressRefused):
        client.send(to(server))


def test_without_a_list_loopback_is_refused_also_as_a_number(server: Hostile) -> None:
    for host in ("127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
        request = Request(f"https://{host}:{server.port}/", "the CA test", within_s=LONG_S)
        with pytest.raises(EgressRefused):
            EgressClient(()).send(request)
    assert not server.asked


def test_the_systems_resolver_gives_addresses_as_they_are_connected_to() -> None:
    assert (socket.AF_INET, ("127.0.0.1", 443)) in resolve("127.0.0.1", 443)


def test_a_certificate_for_another_name_is_refused(server: Hostile, identity: Identity) -> None:
    request = replace(to(server), url=f"https://other.example.test:{server.port}/")
    with pytest.raises(DependencyUnavailable, match="SSLError"):
        client_of(identity).send(request)
    assert not server.asked


def test_a_redirect_stays_at_its_host_and_ends_after_three(server: Hostile, identity: Identity) -> None:
    client = client_of(identity)
    for turn in range(5):
        server.behaviours[f"/{turn}"] = answering(b"", 302, Location=f"/{turn + 1}")
    server.behaviours["/3"] = answering({"end": True})
    assert b"end" in client.send(to(server, "/0")).body
    server.behaviours["/3"] = answering(b"", 302, Location="/4")
    with pytest.raises(EgressRefused, match="more than 3"):
        client.send(to(server, "/0"))


@pytest.mark.parametrize(
    "location",
    ["https://10.0.0.1/", "http://127.0.0.1/", "https://metadata.example.test/", "file:///etc/passwd"],
)
def test_a_redirect_elsewhere_is_refused(server: Hostile, identity: Identity, location: str) -> None:
    server.behaviours["/"] = answering(b"", 307, Location=location)
    dns = Dns("127.0.0.1")
    with pytest.raises(EgressRefused, match="redirect"):
        client_of(identity, dns).send(to(server))
    assert dns.asked == 1


def test_a_post_is_never_redirected(server: Hostile, identity: Identity) -> None:
    server.behaviours["/"] = answering(b"", 307, Location="/again")
    with pytest.raises(EgressRefused, match="POST"):
        client_of(identity).send(replace(to(server), method="POST", body=b"once"))
    assert len(server.asked) == 1


def test_an_endless_body_is_cut_at_its_size(server: Hostile, identity: Identity) -> None:
    server.behaviours["/"] = server.endless
    with pytest.raises(EgressRefused, match="1000 bytes"):
        client_of(identity).send(replace(to(server), largest=1000))


@pytest.mark.parametrize("way", ["slow", "slow_headers"])
def test_an_answer_that_never_ends_is_cut_by_time_though_bytes_keep_coming(
    server: Hostile, identity: Identity, way: str
) -> None:
    server.behaviours["/"] = getattr(server, way)
    with pytest.raises(DependencyUnavailable, match="Timeout"):
        client_of(identity).send(replace(to(server), within_s=1.0))


def test_a_handshake_that_never_ends_is_cut_by_time(identity: Identity) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held: list[socket.socket] = []
        listener = threading.Thread(target=lambda: held.append(silent.accept()[0]), daemon=True)
        listener.start()
        request = Request(f"https://{NAME}:{silent.getsockname()[1]}/", "the CA test", within_s=1.0)
        with pytest.raises(DependencyUnavailable, match="Timeout"):
            client_of(identity).send(request)
        listener.join(60)
        for line in held:
            line.close()


def test_the_content_type_is_checked_where_asked(server: Hostile, identity: Identity) -> None:
    server.behaviours["/"] = answering(b"<html>", Content_Type="text/html; charset=utf-8")
    client = client_of(identity)
    assert client.send(to(server)).content_type == "text/html"
    with pytest.raises(EgressRefused, match="application/json"):
        client.send(replace(to(server), content_types=("application/json",)))
    server.behaviours["/"] = answering(b"<html>", 404, Content_Type="text/html")
    assert client.send(replace(to(server), content_types=("application/json",))).status == 404


def test_a_compressed_answer_is_refused(server: Hostile, identity: Identity) -> None:
    server.behaviours["/"] = answering(b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(EgressRefused, match="compressed"):
        client_of(identity).send(to(server))


def test_http_will_do_only_where_it_is_asked_for(identity: Identity) -> None:
    with serving() as plain:
        plain.behaviours["/x.crl"] = answering(b"CRL", Content_Type="application/pkix-crl")
        request = Request(f"http://{NAME}:{plain.port}/x.crl", "a certificate", within_s=LONG_S)
        with pytest.raises(EgressRefused, match="https"):
            client_of(identity).send(request)
        assert client_of(identity).send(replace(request, plain=True)).body == b"CRL"
        assert len(plain.asked) == 1


def test_who_is_not_there_is_a_dependency_that_is_away(identity: Identity) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    request = Request(f"https://{NAME}:{port}/", "the CA test", within_s=LONG_S)
    with pytest.raises(DependencyUnavailable, match="ConnectionError"):
        client_of(identity).send(request)


def test_a_name_that_nobody_knows_is_a_dependency_that_is_away(identity: Identity) -> None:
    def unknown(_host: str, _port: int) -> list[Found]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(DependencyUnavailable, match="ConnectionError"):
        client_of(identity, unknown).send(Request(f"https://{NAME}/", "the CA test", within_s=LONG_S))


def test_a_resolver_that_hangs_is_not_waited_for(identity: Identity) -> None:
    """However many names hang: the places for lookups are bounded, and taken again once they end."""
    over = threading.Event()

    def hanging(_host: str, _port: int) -> list[Found]:
        assert over.wait(120)
        return []

    client = client_of(identity, hanging)
    request = Request(f"https://{NAME}/", "the CA test", within_s=0.05)
    for _ in range(lookups._AT_ONCE + 1):
        with pytest.raises(DependencyUnavailable, match="Timeout"):
            client.send(request)
    assert sum(thread.name == "name lookup" for thread in threading.enumerate()) == lookups._AT_ONCE
    over.set()
    for thread in threading.enumerate():
        if thread.name == "name lookup":
            thread.join(60)
    with pytest.raises(EgressRefused, match="no address"):
        client.send(replace(request, within_s=LONG_S))

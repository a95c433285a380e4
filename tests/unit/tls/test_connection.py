"""A connection of ours in memory: what is told of it, and that a session does not outlive its certificate."""

import datetime as dt
import ssl
from pathlib import Path

import pytest

from clients.tls import policy
from clients.tls.counting import Counts
from clients.tls.listener import ListenerContext
from clients.tls.peer import described
from clients.tls.policy import SUITES
from schemas.settings.tls import ListenerTls
from tests.integration.tls.material import NAME, Client, Issued, TlsCa, pem_file, put


@pytest.fixture
def ca() -> TlsCa:
    return TlsCa()


@pytest.fixture
def listener(tmp_path: Path, ca: TlsCa) -> ListenerContext:
    put(tmp_path / "api", ca.server(NAME))
    (tmp_path / "clients.pem").write_bytes(ca.root)
    given = {
        "certificates": [{"directory": str(tmp_path / "api")}],
        "client_certificates": "optional",
        "client_ca_file": str(tmp_path / "clients.pem"),
    }
    return ListenerContext(ListenerTls.model_validate(given), Counts("test"))


def connect(context: ssl.SSLContext, listener: ListenerContext) -> ssl.SSLObject:
    """The listener's side of a finished handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=NAME)
    server = listener.wrap_bio(to_server, to_client, server_side=True)
    left = [client, server]
    while left:
        for side in tuple(left):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(side)
    return server


def client(ca: TlsCa, folder: Path, issued: Issued | None) -> ssl.SSLContext:
    shown = None if issued is None else pem_file(folder, "robot", issued)
    return Client(ca.root, shown).context()


def test_what_is_told_of_a_connection(listener: ListenerContext, ca: TlsCa, tmp_path: Path) -> None:
    robot = ca.client("robot")
    told = described(connect(client(ca, tmp_path, robot), listener))
    assert told is not None
    assert told["client_cert_chain"] == [robot.chain.decode()]
    assert told["cipher_suite"] in SUITES.values()
    nobody = described(connect(client(ca, tmp_path, None), listener))
    assert nobody is not None
    assert nobody["client_cert_chain"] == []
    assert nobody["client_cert_name"] is None


def test_a_session_does_not_outlive_the_clients_certificate(
    listener: ListenerContext, ca: TlsCa, tmp_path: Path
) -> None:
    """A resumed handshake verifies nothing: the end of the certificate is looked at again."""
    robot = ca.client("robot", ends_in=dt.timedelta(hours=1))
    connection = connect(client(ca, tmp_path, robot), listener)
    ends = robot.certificate.not_valid_after_utc
    assert described(connection, ends - dt.timedelta(seconds=1)) is not None
    assert described(connection, ends) is None


def test_the_policy_holds_for_every_certificate(listener: ListenerContext) -> None:
    (context,) = listener._served()
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
    served = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"}
    assert served == set(SUITES)
    assert context.options & ssl.OP_NO_COMPRESSION


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ((3, 0, 19, 0, 0), "X25519:P-256:P-384"),
        ((3, 5, 0, 0, 0), "?X25519MLKEM768:?X25519:?P-256:?P-384"),
    ],
)
def test_groups_are_narrowed_where_python_can(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], wanted: str
) -> None:
    """Python 3.15 has `set_groups`; here it stands in, to see what it would be given."""
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", version)
    given: list[str] = []

    class Newer(ssl.SSLContext):
        def set_groups(self, groups: str) -> None:
            given.append(groups)

    policy.apply(Newer(ssl.PROTOCOL_TLS_SERVER))
    assert given == [wanted]

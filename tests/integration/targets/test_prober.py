"""What the prober says of servers that are right, wrong, silent, slow, plain or gone."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clients.probes import Handshake
from clients.probes.tls import TlsProber
from clients.probes.waiting import wait_until_served
from rules.versions import Streak
from schemas.errors import VerificationFailed
from tests.integration.targets.material import NAME, TestCa, fingerprint

Answer = Callable[[socket.socket], None]


@pytest.fixture
def ca() -> TestCa:
    return TestCa()


@contextlib.contextmanager
def listening(answer: Answer) -> Iterator[int]:
    """A server that treats each connection as `answer` says, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        worker = threading.Thread(target=_serve, args=(door, answer))
        worker.start()
        try:
            yield door.getsockname()[1]
        finally:
            door.shutdown(socket.SHUT_RDWR)
            worker.join()


def _serve(door: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = door.accept()
            with connection:
                answer(connection)


def showing(ca: TestCa, folder: Path, name: str = NAME) -> tuple[Answer, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    chain = ca.issue(key.public_key(), name)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{fingerprint(chain)}.pem"
    file.write_bytes(chain + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as channel:
            channel.recv(1)

    return answer, fingerprint(chain)


def shake(port: int, roots: bytes, timeout_s: float = 10, name: str = NAME) -> Handshake:
    return TlsProber().handshake("127.0.0.1", port, name, roots, timeout_s)


def test_the_leaf_and_whether_it_is_trusted(ca: TestCa, tmp_path: Path) -> None:
    answer, leaf = showing(ca, tmp_path)
    with listening(answer) as port:
        assert shake(port, ca.root) == Handshake(fingerprint=leaf, trusted=True, tls_version="TLSv1.3")
        stranger = shake(port, TestCa().root)
        assert (stranger.fingerprint, stranger.trusted) == (leaf, False)
        assert "issuer" in stranger.detail or "signature" in stranger.detail
        other = shake(port, ca.root, name="other.example.test")
        assert (other.fingerprint, other.trusted) == (leaf, False)
        assert "other.example.test" in other.detail
        unrooted = shake(port, b"")
        assert (unrooted.fingerprint, unrooted.trusted) == (leaf, False)


def test_a_wildcard_is_asked_for_by_a_name_that_it_covers(ca: TestCa, tmp_path: Path) -> None:
    answer, leaf = showing(ca, tmp_path, "*.example.test")
    with listening(answer) as port:
        shown = shake(port, ca.root, name="*.example.test")
    assert (shown.fingerprint, shown.trusted) == (leaf, True)


def test_roots_that_are_none(ca: TestCa, tmp_path: Path) -> None:
    answer, _ = showing(ca, tmp_path)
    with listening(answer) as port, pytest.raises(VerificationFailed, match="no certificates in PEM"):
        shake(port, b"nonsense")


def test_a_server_that_speaks_no_tls(ca: TestCa) -> None:
    with (
        listening(lambda connection: connection.sendall(b"220 plain\r\n")) as port,
        pytest.raises(VerificationFailed, match="TLS handshake"),
    ):
        shake(port, ca.root)


def test_a_server_that_hangs_up(ca: TestCa) -> None:
    with listening(lambda _: None) as port, pytest.raises(VerificationFailed, match="TLS handshake"):
        shake(port, ca.root)


def test_a_server_that_is_silent(ca: TestCa) -> None:
    done = threading.Event()
    with listening(lambda _: _until(done)) as port:
        with pytest.raises(VerificationFailed, match=r"did not finish a TLS handshake .* within 0\.3 s"):
            shake(port, ca.root, 0.3)
        done.set()


def test_a_server_that_talks_without_end_and_without_a_word(ca: TestCa) -> None:
    """A record that is announced and comes byte by byte: no read times out, the handshake does."""
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x20\x00")
            while not done.wait(0.02):
                connection.sendall(b"\x02")

    with listening(drip) as port:
        with pytest.raises(VerificationFailed, match=r"did not finish|refused"):
            shake(port, ca.root, 0.5)
        done.set()


def _until(done: threading.Event) -> None:
    done.wait(30)


def test_a_server_that_is_gone(ca: TestCa) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(VerificationFailed, match="Connection refused"):
        shake(port, ca.root)


class Script:
    """A prober that shows what it is told to, in order; the last for ever."""

    def __init__(self, *shown: Handshake | str) -> None:
        self.shown = list(shown)
        self.asked = 0

    def handshake(self, host: str, port: int, server_name: str, roots: bytes, timeout_s: float) -> Handshake:
        assert (host, port, server_name, roots) == ("web", 443, NAME, b"roots")
        assert timeout_s > 0
        shown = self.shown[min(self.asked, len(self.shown) - 1)]
        self.asked += 1
        if isinstance(shown, str):
            raise VerificationFailed(shown)
        return shown


OLD = Handshake(fingerprint="a" * 64, trusted=True, tls_version="TLSv1.3")
NEW = Handshake(fingerprint="b" * 64, trusted=True, tls_version="TLSv1.3")
SOON = Streak(needed=3, settle_s=0)
DOUBTED = NEW.model_copy(update={"trusted": False, "detail": "certificate has expired"})


def wait(
    prober: Script,
    within_s: float = 20,
    *,
    trusted: bool = True,
    enough: Streak = SOON,
) -> int:
    """How often `beat` was called until it was settled."""
    beats: list[None] = []
    wait_until_served(
        prober,
        "web",
        443,
        NAME,
        b"roots",
        expected=NEW.fingerprint,
        within_s=within_s,
        beat=lambda: beats.append(None),
        trusted=trusted,
        enough=enough,
    )
    return len(beats)


def test_it_waits_until_no_old_worker_answers_any_more() -> None:
    prober = Script(OLD, "down", NEW, NEW, OLD, NEW)
    assert wait(prober) == prober.asked == 8


def test_a_service_that_missed_its_reload_is_asked_once_more() -> None:
    prober, asked = Script(OLD), []

    def again() -> None:
        asked.append(prober.asked)
        prober.shown[:] = [NEW]

    wait_until_served(
        prober,
        "web",
        443,
        NAME,
        b"roots",
        expected=NEW.fingerprint,
        within_s=6,
        beat=lambda: None,
        again=again,
        enough=SOON,
    )
    assert len(asked) == 1
    assert asked[0] >= 1


def test_it_says_what_it_saw_last() -> None:
    with pytest.raises(VerificationFailed, match=r"did not steadily serve b{16}….*: it serves a{16}…"):
        wait(Script(OLD), 0.5)
    with pytest.raises(VerificationFailed, match="it is down"):
        wait(Script("it is down"), 0.5)
    with pytest.raises(VerificationFailed, match=r"does not verify \(certificate has expired\)"):
        wait(Script(DOUBTED), 0.5)
    with pytest.raises(VerificationFailed, match="not for long enough yet"):
        wait(Script(NEW), 0.5, enough=Streak(needed=1_000_000))


def test_what_was_there_before_need_not_be_trusted() -> None:
    assert wait(Script(DOUBTED), trusted=False) == 3

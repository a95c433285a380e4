"""The promises of the port `Target`, asked of every implementation and of every kind of service behind it."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from cli.dev.nginx import Nginx
from cli.dev.process import free_port
from clients.probes.tls import TlsProber
from clients.probes.waiting import wait_until_served
from clients.targets import Bundle, Target
from clients.targets.files import FilesTarget
from schemas.errors import (
    CertificateRejected,
    Fenced,
    KeyNotFound,
    KeyUnsuitable,
    ReloadFailed,
    TargetUnreachable,
    VerificationFailed,
)
from tests.integration.targets.material import (
    NAME,
    TestCa,
    configured,
    fingerprint,
    going,
    served,
    undoing,
    with_program,
)


@dataclass
class Case:
    """An implementation, with a look into its service and a way to break it."""

    target: Target
    folder: Path
    ca: TestCa
    serves: Callable[[str | None], None]
    """Assert that the service shows this version (None: none at all)."""
    break_service: Callable[[], None]
    mend_service: Callable[[], None]

    def order(self, key_id: str) -> Bundle:
        chain = self.ca.answer(self.target.make_key(key_id, "EC-P256", (NAME,)))
        return Bundle(version=fingerprint(chain), fullchain=chain, key_id=key_id, key_uri=None)

    def staged(self, operation: int) -> str:
        bundle = self.order(f"{operation:04x}")
        self.target.stage(bundle, going(operation))
        return bundle.version


def _program(folder: Path) -> Iterator[Case]:
    def serves(version: str | None) -> None:
        assert served(folder)[-1] == (version or "nothing")

    broken = folder / "broken"
    yield Case(with_program(folder, keep_versions=1), folder, TestCa(), serves, broken.touch, broken.unlink)


def _nginx(folder: Path) -> Iterator[Case]:
    server, ca, prober = Nginx(folder / "nginx", free_port(), folder / "target"), TestCa(), TlsProber()
    configuration = folder / "nginx" / "nginx.conf"

    def serves(version: str | None) -> None:
        where = ("127.0.0.1", server.port, NAME, ca.root)
        if version:
            shown = wait_until_served(prober, *where, expected=version, within_s=20, beat=lambda: None)
            assert shown.trusted
        else:
            _refuses(lambda: prober.handshake(*where, 5))

    server.start()
    good = configuration.read_text()
    settings = configured(folder, server.reload, check=server.check, keep_versions=1)
    try:
        yield Case(
            FilesTarget(settings),
            folder,
            ca,
            serves,
            lambda: _write(configuration, good + "nonsense;\n"),
            lambda: _write(configuration, good),
        )
    finally:
        server.stop()


def _write(file: Path, text: str) -> None:
    file.write_text(text)


def _refuses(handshake: Callable[[], object]) -> None:
    """Old workers may still answer for a moment: ask until the handshake is refused."""
    for _ in range(500):
        try:
            handshake()
        except VerificationFailed:
            return
    pytest.fail("it still serves a certificate")


@pytest.fixture(params=[_program, _nginx], ids=["files+program", "files+nginx"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    yield from request.param(tmp_path)


def test_a_key_is_made_once_and_asks_for_the_names(case: Case) -> None:
    first = x509.load_der_x509_csr(case.target.make_key("ab01", "EC-P256", (NAME, "other.example.test")))
    again = x509.load_der_x509_csr(case.target.make_key("ab01", "EC-P256", (NAME, "other.example.test")))
    other = x509.load_der_x509_csr(case.target.make_key("ab02", "RSA-2048", (NAME,)))
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME, "other.example.test"]
    assert first.is_signature_valid
    assert first.public_key() == again.public_key()
    assert first.public_key() != other.public_key()
    with pytest.raises(KeyUnsuitable, match="EC-P384"):
        case.target.make_key("ab01", "EC-P384", (NAME,))


def test_a_private_key_lies_in_one_file_that_only_its_owner_reads(case: Case) -> None:
    version = case.staged(1)
    case.target.switch(version, going(1))
    holding = [
        file
        for file in case.folder.rglob("*")
        if file.is_file() and not file.is_symlink() and b"PRIVATE KEY" in file.read_bytes()
    ]
    assert [file.name for file in holding] == ["0001.pem"]
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(holding[0].parent.stat().st_mode) == 0o700


def test_staging_changes_nothing_that_is_served(case: Case) -> None:
    assert case.target.current() is None
    case.staged(1)
    assert case.target.current() is None


def test_staging_again_has_no_effect(case: Case) -> None:
    bundle = case.order("01")
    case.target.stage(bundle, going(1))
    case.target.stage(bundle, going(1))
    case.target.switch(bundle.version, going(1))
    case.target.stage(bundle, going(1))
    assert case.target.current() == bundle.version


def test_a_version_that_is_kept_can_be_read(case: Case) -> None:
    bundle = case.order("01")
    assert case.target.read(bundle.version) is None
    case.target.stage(bundle, going(1))
    assert case.target.read(bundle.version) == bundle.fullchain
    assert case.target.read("0" * 64) is None
    assert case.target.read("../keys") is None


def test_a_version_that_has_lost_its_certificate_is_not_there(case: Case) -> None:
    version = case.staged(1)
    (chain,) = case.folder.rglob(f"versions/{version}/fullchain.pem")
    chain.unlink()
    assert case.target.read(version) is None


def test_what_does_not_fit_together_is_not_staged(case: Case) -> None:
    bundle, other = case.order("01"), case.order("02")
    with pytest.raises(CertificateRejected, match="fingerprint"):
        case.target.stage(bundle.model_copy(update={"version": "0" * 64}), going(1))
    with pytest.raises(CertificateRejected, match="another key"):
        case.target.stage(bundle.model_copy(update={"key_id": other.key_id}), going(1))
    with pytest.raises(CertificateRejected, match="PEM"):
        case.target.stage(bundle.model_copy(update={"fullchain": b"nonsense"}), going(1))
    with pytest.raises(KeyNotFound):
        case.target.stage(bundle.model_copy(update={"key_id": "ffff"}), going(1))
    with pytest.raises(TargetUnreachable, match="does not hold"):
        case.target.switch(bundle.version, going(1))


def test_a_switch_is_served_and_so_is_the_way_back(case: Case) -> None:
    first, second = case.staged(1), case.staged(2)
    case.target.switch(first, going(2))
    assert case.target.current() == first
    case.serves(first)
    case.target.switch(second, going(2))
    assert case.target.current() == second
    case.serves(second)
    case.target.switch_back(first, undoing(2))
    assert case.target.current() == first
    case.serves(first)


def test_back_to_none_at_all(case: Case) -> None:
    case.target.switch(case.staged(1), going(1))
    case.target.switch_back(None, undoing(1))
    assert case.target.current() is None
    case.serves(None)
    case.target.switch_back(None, undoing(1))


def test_switching_again_is_the_same(case: Case) -> None:
    version = case.staged(1)
    case.target.switch(version, going(1))
    case.target.switch(version, going(1))
    case.serves(version)


def test_a_zombie_can_undo_no_undo(case: Case) -> None:
    first = case.staged(1)
    case.target.switch(first, going(1))
    second = case.staged(2)
    case.target.switch(second, going(2))
    case.target.switch_back(first, undoing(2))
    with pytest.raises(Fenced):
        case.target.switch(second, going(2))
    with pytest.raises(Fenced):
        case.target.switch_back(second, undoing(1))
    with pytest.raises(Fenced):
        case.target.stage(case.order("ff"), going(2))
    with pytest.raises(Fenced):
        case.target.retire((), going(2))
    assert case.target.current() == first
    case.serves(first)


def test_a_service_that_refuses_leaves_the_undoing_to_the_caller(case: Case) -> None:
    first, second = case.staged(1), case.staged(2)
    case.target.switch(first, going(2))
    case.break_service()
    with pytest.raises(ReloadFailed, match=r"web-1.*emerg"):
        case.target.switch(second, going(2))
    assert case.target.current() == second
    case.mend_service()
    case.target.switch_back(first, undoing(2))
    case.serves(first)


def test_old_versions_go_but_never_what_is_kept_or_current(case: Case) -> None:
    versions = [case.staged(operation) for operation in range(1, 6)]
    case.target.switch(versions[0], going(5))
    case.target.retire((versions[1],), going(5))
    for gone in (versions[2], versions[3]):
        with pytest.raises(TargetUnreachable, match="does not hold"):
            case.target.switch(gone, going(5))
    for kept in (versions[4], versions[1], versions[0]):
        case.target.switch(kept, going(5))
        case.serves(kept)


def test_what_a_killed_attempt_left_goes_with_the_old_versions(case: Case) -> None:
    version = case.staged(1)
    (versions,) = case.folder.rglob("versions")
    draft = versions / ".draft"
    draft.mkdir(mode=0o700)
    (draft / "fullchain.pem").touch(mode=0o600)
    case.target.retire((version,), going(1))
    assert not draft.exists()
    assert case.target.read(version) is not None

"""The promises of the port `Target`, asked of every implementation and of every kind of service behind it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from clients.targets import keys
from schemas.errors import (
    CertificateRejected,
    Fenced,
    KeyNotFound,
    KeyUnsuitable,
    ReloadFailed,
    StillServed,
    TargetUnreachable,
)
from tests.conformance.target_cases import CASES, Case
from tests.integration.targets.material import NAME, going, undoing

SERVING = ("files+program", "files+nginx", "ssh-files")
"""Those with a service that may refuse what it is told to load, and with a folder to look into."""


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    yield from CASES[request.param](tmp_path, request)


@pytest.fixture(params=SERVING)
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    yield from CASES[request.param](tmp_path, request)


@pytest.fixture
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    yield from CASES["files+program"](tmp_path, request)


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


def test_a_private_key_lies_in_one_file_that_only_its_owner_reads(serving: Case) -> None:
    version = serving.staged(1)
    serving.target.switch(version, going(1))
    holding = [
        file
        for file in serving.folder.rglob("*")
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


def test_a_version_that_has_lost_its_certificate_is_not_there(serving: Case) -> None:
    version = serving.staged(1)
    (chain,) = serving.folder.rglob(f"versions/{version}/fullchain.pem")
    chain.unlink()
    assert serving.target.read(version) is None


def test_a_destroyed_key_is_gone_with_every_version_that_has_it_and_nothing_else_is(case: Case) -> None:
    old, kept = case.staged(1), case.staged(2)
    case.target.switch(old, going(3))
    case.target.switch(kept, going(3))
    case.target.destroy_key("0001", going(3))
    assert case.target.read(old) is None
    assert case.target.current() == kept
    assert case.target.drift(kept) is None
    with pytest.raises(TargetUnreachable, match="does not hold"):
        case.target.switch(old, going(3))
    with pytest.raises(KeyNotFound):
        case.target.stage(case.order("03").model_copy(update={"key_id": "0001"}), going(3))
    case.target.destroy_key("0001", going(3))
    case.target.destroy_key("ffff", going(3))


def test_the_key_in_use_is_destroyed_by_nobody_nor_any_by_who_was_overtaken(case: Case) -> None:
    used, spare = case.staged(1), case.staged(2)
    case.target.switch(used, going(3))
    with pytest.raises(StillServed):
        case.target.destroy_key("0001", going(3))
    with pytest.raises(Fenced):
        case.target.destroy_key("0002", going(2))
    assert case.target.read(spare) is not None
    assert case.target.drift(used) is None


def test_of_a_destroyed_key_no_file_holds_a_byte(local: Case) -> None:
    """Not even one that somebody holds open, or has a second name for."""
    local.target.switch(local.staged(1), going(2))
    (file,) = local.folder.rglob("keys/0001.pem")
    local.target.switch(local.staged(2), going(2))
    second_name = local.folder / "second-name"
    second_name.hardlink_to(file)
    assert b"PRIVATE KEY" in second_name.read_bytes()
    local.target.destroy_key("0001", going(2))
    assert not file.exists()
    assert not second_name.read_bytes().strip(b"\0")


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
    assert case.target.current() == version
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


def test_a_service_that_refuses_leaves_the_undoing_to_the_caller(serving: Case) -> None:
    first, second = serving.staged(1), serving.staged(2)
    serving.target.switch(first, going(2))
    serving.break_service()
    with pytest.raises(ReloadFailed, match=r"web-1.*emerg"):
        serving.target.switch(second, going(2))
    assert serving.target.current() == second
    serving.mend_service()
    serving.target.switch_back(first, undoing(2))
    serving.serves(first)


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


def test_what_a_killed_attempt_left_goes_with_the_old_versions(local: Case) -> None:
    version = local.staged(1)
    (versions,) = local.folder.rglob("versions")
    draft = versions / ".draft"
    draft.mkdir(mode=0o700)
    (draft / "fullchain.pem").touch(mode=0o600)
    local.target.retire((version,), going(1))
    assert not draft.exists()
    assert local.target.read(version) is not None


def test_nothing_has_changed_where_nothing_was_changed(case: Case) -> None:
    assert case.target.drift(None) is None
    first, second = case.staged(1), case.staged(2)
    assert case.target.drift(None) is None
    case.target.switch(first, going(2))
    assert case.target.drift(first) is None
    assert "no certificate" in (case.target.drift(None) or "")
    assert first[:12] in (case.target.drift(second) or "")
    case.target.switch_back(None, undoing(2))
    assert case.target.drift(None) is None
    assert "no certificate is in use" in (case.target.drift(first) or "")


@pytest.mark.parametrize("tampered", ["certificate", "key"])
def test_what_someone_else_has_changed_is_noticed_and_mended(case: Case, tampered: str) -> None:
    version = case.staged(1)
    case.target.switch(version, going(1))
    stranger = keys.load(keys.generate("EC-P256"))
    if tampered == "certificate":
        case.put_certificate(case.ca.issue(stranger.public_key()))
    else:
        case.put_key(keys.generate("EC-P256"))
    words = case.target.drift(version)
    assert words is not None
    assert tampered in words or "is in use and not" in words
    case.target.switch(case.staged(2), going(2))
    assert case.target.drift(case.target.current()) is None

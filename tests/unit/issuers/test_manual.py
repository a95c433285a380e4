"""What people bring to the manual issuer, by mistake or from malice: said or left alone, and never taken."""

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from clients.issuers import manual
from clients.issuers.manual import ManualIssuer
from clients.x509 import LARGEST_CHAIN
from schemas.errors import CaUnavailable, CertificateAwaited, InvalidSettings
from schemas.settings import issuers
from tests.integration.targets.material import TestCa
from tests.servers.orders import Beats, request

NAMES = ("www.example.com",)


@pytest.fixture(autouse=True)
def _one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual, "_LOOKS", 1)
    monkeypatch.setattr(manual, "_BETWEEN_LOOKS_S", 0)


@pytest.fixture
def ca() -> TestCa:
    return TestCa()


@pytest.fixture
def issuer(tmp_path: Path, ca: TestCa) -> ManualIssuer:
    (tmp_path / "roots.pem").write_bytes(ca.root)
    given = {"path": "orders", "folder": "desk", "trust_file": "roots.pem"}
    where = {name: str(tmp_path / path) for name, path in given.items()}
    return ManualIssuer("people", issuers.ManualIssuer.model_validate({"kind": "manual", **where}))


def _waiting(issuer: ManualIssuer, csr: bytes, names: tuple[str, ...] = NAMES) -> tuple[str, str]:
    """An order's URL, and what is said while its certificate is not there."""
    url = issuer.place_order(names).url
    return url, _refused(issuer, url, csr)


def _refused(issuer: ManualIssuer, url: str, csr: bytes) -> str:
    with pytest.raises(CertificateAwaited) as raised:
        issuer.finalize(url, csr, Beats())
    return raised.value.detail


def test_the_request_is_for_people_to_read_and_goes_when_its_certificate_has_come(
    issuer: ManualIssuer, ca: TestCa, tmp_path: Path
) -> None:
    csr = request(NAMES)
    url, said = _waiting(issuer, csr)
    (file,) = (tmp_path / "desk/requests").iterdir()
    assert file.name.startswith("www.example.com.")
    assert f"requests/{file.name}" in said
    assert "issuers.people.folder" in said
    assert str(tmp_path) not in said
    text = file.read_bytes()
    assert text.startswith(b"Names: www.example.com\n")
    pem = text[text.index(b"-----BEGIN") :]
    assert x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER) == csr
    (tmp_path / "desk/inbox/any name").write_bytes(ca.answer_all(csr))
    assert issuer.finalize(url, csr, Beats()).status == "valid"
    assert issuer.certificate(url) == (tmp_path / "desk/inbox/any name").read_bytes()
    assert list((tmp_path / "desk/requests").iterdir()) == []


def test_one_for_other_names_is_named_and_a_better_one_is_taken(
    issuer: ManualIssuer, ca: TestCa, tmp_path: Path
) -> None:
    csr = request(NAMES)
    url, _ = _waiting(issuer, csr)
    public = x509.load_der_x509_csr(csr).public_key()
    (tmp_path / "desk/inbox/a.pem").write_bytes(ca.issue(public, "other.example.com"))
    assert "a.pem has its key, but it is for other.example.com" in _refused(issuer, url, csr)
    (tmp_path / "desk/inbox/b.pem").write_bytes(ca.answer_all(csr))
    assert issuer.finalize(url, csr, Beats()).status == "valid"
    assert issuer.certificate(url) == (tmp_path / "desk/inbox/b.pem").read_bytes()


def test_one_of_a_ca_that_is_not_trusted_is_not_taken(issuer: ManualIssuer, tmp_path: Path) -> None:
    csr = request(NAMES)
    url, _ = _waiting(issuer, csr)
    (tmp_path / "desk/inbox/a.pem").write_bytes(TestCa().answer_all(csr))
    assert "does not lead to a root" in _refused(issuer, url, csr)


def test_what_is_not_for_this_request_is_left_alone(issuer: ManualIssuer, ca: TestCa, tmp_path: Path) -> None:
    csr = request(NAMES)
    url, said = _waiting(issuer, csr)
    inbox, outside = tmp_path / "desk/inbox", tmp_path / "outside.pem"
    outside.write_bytes(ca.answer_all(csr))
    (inbox / "other.pem").write_bytes(ca.answer_all(request(NAMES)))
    (inbox / "garbage").write_bytes(b"\x00\xff")
    (inbox / "huge.pem").write_bytes(ca.answer_all(csr) + b"\n" * LARGEST_CHAIN)
    (inbox / "link.pem").symlink_to(outside)
    (inbox / "folder").mkdir()
    os.mkfifo(inbox / "pipe")
    assert _refused(issuer, url, csr) == said
    assert len(list(inbox.iterdir())) == len(("other", "garbage", "huge", "link", "folder", "pipe"))


def test_no_name_leads_out_of_the_folder(issuer: ManualIssuer, tmp_path: Path) -> None:
    names = ("*.example.com",)
    _waiting(issuer, request(names), names)
    (file,) = (tmp_path / "desk/requests").iterdir()
    assert file.name.startswith("_.example.com.")


def test_requests_that_nobody_has_signed_for_a_month_are_forgotten(
    issuer: ManualIssuer, tmp_path: Path
) -> None:
    csr = request(NAMES)
    _waiting(issuer, csr)
    (old,) = (tmp_path / "desk/requests").iterdir()
    os.utime(old, (0, 0))
    _waiting(issuer, csr)
    (new,) = (tmp_path / "desk/requests").iterdir()
    assert new != old


def test_a_folder_that_can_not_be_used_is_named(issuer: ManualIssuer, tmp_path: Path) -> None:
    (tmp_path / "desk").write_text("a file")
    with pytest.raises(CaUnavailable, match="requests of people can't be used"):
        issuer.place_order(NAMES)
    (tmp_path / "roots.pem").unlink()
    with pytest.raises(InvalidSettings, match=r"issuers\.people\.trust_file can't be read"):
        issuer.trust_anchors()


def test_an_inbox_that_nobody_empties_hides_no_new_certificate(
    issuer: ManualIssuer, ca: TestCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manual, "_MOST_FILES", 3)
    csr = request(NAMES)
    url, _ = _waiting(issuer, csr)
    for number in range(5):
        old = tmp_path / f"desk/inbox/{number}.pem"
        old.write_bytes(ca.answer_all(request(NAMES)))
        os.utime(old, (number, number))
    (tmp_path / "desk/inbox/zz.pem").write_bytes(ca.answer_all(csr))
    assert issuer.finalize(url, csr, Beats()).status == "valid"


def test_a_file_that_is_still_being_written_is_read_again(
    issuer: ManualIssuer, ca: TestCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manual, "_LOOKS", 2)
    csr = request(NAMES)
    url = issuer.place_order(NAMES).url
    (tmp_path / "desk/inbox").mkdir()
    file, whole = tmp_path / "desk/inbox/a.pem", ca.answer_all(csr)
    file.write_bytes(whole[:100])
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 2:
            file.write_bytes(whole)

    assert issuer.finalize(url, csr, beat).status == "valid"
    assert issuer.certificate(url) == whole

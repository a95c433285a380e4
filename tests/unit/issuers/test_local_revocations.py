"""What the local CA revokes stands in a list that it signs, whatever it is killed in, and whoever reads it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.issuers.local import LocalCa
from clients.revocation.crl import RevocationLists
from rules.leases import at_its_maximum, renew_after
from schemas.errors import CaRefused, DependencyUnavailable
from schemas.revocations import RevocationReason
from tests.servers.crashes import killed_at
from tests.unit.issuers.test_local import MASTER, ca_in, issue

URL = "http://pki.example.com/crl.der"
_PROGRAM = """
from pathlib import Path
from clients.issuers.local import LocalCa
from clients.keystores.software import SoftwareKeyStore
from schemas.revocations import RevocationReason
from schemas.settings.issuers import LocalIssuer
folder = Path({folder!r})
keys = SoftwareKeyStore("keys", folder / "keys", (folder / "master").read_bytes())
given = LocalIssuer(kind="local", path=str(folder / "ca"), key_store="keys", crl_url={url!r})
LocalCa("local", given, keys).revoke((folder / "leaf.pem").read_bytes(), RevocationReason.SUPERSEDED)
"""


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    return ca_in(tmp_path, crl_url=URL)


def listed(ca: LocalCa) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl((ca._path / "crl.der").read_bytes())


def number(ca: LocalCa) -> int:
    return listed(ca).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def reader(ca: LocalCa, now: datetime | None = None) -> RevocationLists:
    def fetch(url: str) -> bytes:
        content = ca.crl_at(url)
        if content is None:
            raise DependencyUnavailable("not its address")
        return content

    return RevocationLists(fetch, now=lambda: now or datetime.now(UTC))


def pem(leaf: x509.Certificate) -> bytes:
    return leaf.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("reason", list(RevocationReason))
def test_the_list_that_a_certificate_names_tells_its_status(ca: LocalCa, reason: RevocationReason) -> None:
    gone, good = pem(issue(ca)), pem(issue(ca))
    assert reader(ca).status(gone, ca.trust_anchors()).state == "good"
    ca.revoke(gone, reason)
    status = reader(ca).status(gone, ca.trust_anchors())
    assert (status.state, status.reason) == ("revoked", reason)
    assert reader(ca).status(good, ca.trust_anchors()).state == "good"


def test_the_first_time_and_reason_stay_and_nothing_is_signed_again(ca: LocalCa) -> None:
    gone = pem(issue(ca))
    ca.revoke(gone, RevocationReason.SUPERSEDED)
    before = (ca._path / "crl.der").read_bytes()
    ca.revoke(gone, RevocationReason.KEY_COMPROMISE)
    assert (ca._path / "crl.der").read_bytes() == before
    assert reader(ca).status(gone, ca.trust_anchors()).reason == "superseded"


def test_the_number_grows_and_a_lost_list_is_made_again_whole(ca: LocalCa) -> None:
    seen = []
    for _ in range(4):
        ca.revoke(pem(issue(ca)), RevocationReason.SUPERSEDED)
        seen.append(number(ca))
    assert seen == sorted(set(seen))
    (ca._path / "crl.der").unlink()
    ca.crl()
    assert number(ca) >= seen[0]
    assert len(listed(ca)) == 4


def test_a_list_is_made_anew_when_half_of_its_life_is_over(tmp_path: Path) -> None:
    short = ca_in(tmp_path, crl_days=1, crl_url=URL)
    first = short.crl()
    assert short.crl() == first
    # What a CA with longer lists takes for half over.
    later = ca_in(tmp_path, crl_days=7, crl_url=URL)
    assert later.crl() != first
    assert listed(later).next_update_utc is not None


def test_a_list_that_has_ended_is_no_answer(ca: LocalCa) -> None:
    leaf = pem(issue(ca))
    status = reader(ca, datetime.now(UTC) + timedelta(days=8)).status(leaf, ca.trust_anchors())
    assert status.state == "unknown"
    assert "ended" in status.why


def test_what_it_has_not_issued_it_does_not_revoke(ca: LocalCa, tmp_path: Path) -> None:
    other = ca_in(tmp_path / "other", "other")
    ca.crl()
    with pytest.raises(CaRefused, match="has not issued"):
        ca.revoke(pem(issue(other)), RevocationReason.SUPERSEDED)
    assert len(listed(ca)) == 0


def test_another_address_is_not_its_own(ca: LocalCa, tmp_path: Path) -> None:
    assert ca.crl_at("http://elsewhere.example/crl.der") is None
    assert ca_in(tmp_path / "silent").crl_at("") is None


@pytest.mark.parametrize("point", ["revocation.kept", "crl.writing", "crl.written"])
def test_killed_anywhere_a_revocation_ends_in_a_whole_list(ca: LocalCa, point: str, tmp_path: Path) -> None:
    leaf, before = issue(ca), ca.crl()
    (tmp_path / "master").write_bytes(MASTER)
    (tmp_path / "leaf.pem").write_bytes(pem(leaf))
    killed_at(point, tmp_path, _PROGRAM.format(folder=str(tmp_path), url=URL))
    there = (ca._path / "crl.der").read_bytes()
    assert (there == before) == (point != "crl.written")
    ca.revoke(pem(leaf), RevocationReason.SUPERSEDED)
    assert reader(ca).status(pem(leaf), ca.trust_anchors()).state == "revoked"


@pytest.mark.parametrize("lease_s", [0.5, 2.0, 60.0, 2_764_800.0])
def test_a_lease_is_renewed_before_it_ends_and_never_at_once(lease_s: float) -> None:
    assert 0 < renew_after(lease_s) < lease_s
    assert renew_after(0) > 0


def test_a_lease_that_shrinks_has_come_to_its_maximum() -> None:
    assert not at_its_maximum(3600, 3600)
    assert at_its_maximum(3600, 1700)
    assert not at_its_maximum(0, 0)

"""A sweep makes the lists of our own CAs anew, and none that fails keeps the others from it."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from structlog.testing import capture_logs

from activities.certificates.lists import refresh_lists
from activities.certificates.steps import Surroundings
from clients.issuers import Issuer
from schemas.errors import CaUnavailable
from tests.unit.issuers.test_local import ca_in


def test_a_list_is_made_where_there_is_none_and_a_ca_that_fails_is_told(tmp_path: Path) -> None:
    good = ca_in(tmp_path / "good", "good", crl_url="http://pki.example.com/crl.der")
    silent = ca_in(tmp_path / "silent", "silent")

    def issuer(name: str) -> Issuer:
        if name == "broken":
            raise CaUnavailable("The folder of broken can't be used.")
        return {"good": good, "silent": silent}[name]

    around = SimpleNamespace(issuer=issuer, list_keepers=("broken", "silent", "good"))
    with capture_logs() as told:
        refresh_lists(cast("Surroundings", around))
    assert (tmp_path / "good" / "ca" / "crl.der").exists()
    assert not (tmp_path / "silent" / "ca" / "crl.der").exists()
    assert [(one["issuer"], one["log_level"]) for one in told] == [("broken", "warning")]


def test_a_list_that_is_fresh_is_left_alone(tmp_path: Path) -> None:
    ca = ca_in(tmp_path, crl_url="http://pki.example.com/crl.der")
    around = cast("Surroundings", SimpleNamespace(issuer=lambda _: ca, list_keepers=("local",)))
    refresh_lists(around)
    first = (tmp_path / "ca" / "crl.der").read_bytes()
    refresh_lists(around)
    assert (tmp_path / "ca" / "crl.der").read_bytes() == first

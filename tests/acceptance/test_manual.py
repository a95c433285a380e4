"""A certificate that people bring: dropped into a folder, it goes the way of every other."""

from pathlib import Path

from tests.acceptance.fleet import Fleet, wait_until
from tests.servers.clerk import Clerk


def test_what_a_person_drops_into_the_folder_is_checked_switched_and_verified(
    fleet: Fleet, tmp_path: Path
) -> None:
    desk = Clerk(tmp_path / "desk")
    desk.open()
    fleet.build(targets=("web-1",))
    fleet.document["issuers"]["people"] = {
        "kind": "manual",
        "path": str(tmp_path / "manual"),
        "folder": str(desk.folder),
        "trust_file": str(desk.trust_file),
    }
    fleet.www["issuers"] = ["people"]
    fleet.write()
    fleet.worker()
    run = fleet.start()
    wait_until(lambda: list((desk.folder / "requests").glob("*.csr")), 60, "a request")
    (request,) = (desk.folder / "requests").glob("*.csr")
    # First what is for nobody here, then the right one.
    desk.bring("wrong.pem", b"not a certificate")
    desk.bring("right.pem", desk.sign(request))
    ended = fleet.watch(run)
    assert ended["state"] == "COMPLETED", ended
    assert ended["result"]["issuer"] == "people"
    assert fleet.shown(desk.trust_file) == ended["result"]["fingerprints"] != {}
    assert not request.exists()

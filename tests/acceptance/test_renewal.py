"""A renewal as an operator runs it: by the command, on real web servers, from a real CA."""

import json
from collections.abc import Callable

from cli.demo.oracle import CaCounts
from tests.acceptance.fleet import Fleet


def test_a_certificate_is_issued_renewed_and_left_alone_when_it_is_not_due(fleet: Fleet) -> None:
    fleet.build(targets=("web-1", "web-2"))
    fleet.worker()
    assert fleet.shown() == {}
    first = fleet.watch(fleet.start(force=False))
    assert first["state"] == "COMPLETED", first
    shown = fleet.shown()
    assert set(shown) == {"web-1", "web-2"}
    assert shown == first["result"]["fingerprints"]
    again = fleet.watch(fleet.start(force=False))
    assert again["result"]["outcome"] == "not_due"
    assert fleet.shown() == shown
    renewed = fleet.renew()
    assert renewed["state"] == "COMPLETED", renewed
    assert not set(fleet.shown().values()) & set(shown.values())


def test_the_first_order_of_a_new_name_is_rehearsed_and_later_ones_are_not(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets().build(targets=("web-1",))
    # The same CA is asked to rehearse at, so it counts both.
    staging = {"staging_directory": fleet.ca.directory, "staging_trust_file": str(fleet.ca.trust_file)}
    fleet.document["issuers"]["acme"] |= staging
    fleet.write()
    tried = fleet.redoubt("certs", "rehearse", "www")
    assert tried.code == 0, tried.err
    assert "went well" in tried.err
    assert fleet.counts() == CaCounts(1, 1, 1)
    given = json.dumps({"certificate": "www", "force": True})
    tried = fleet.redoubt("start", "CertificateRenewal", "--input", "-", "--rehearse", given=given)
    assert (tried.code, tried.out) == (0, ""), tried.err
    assert fleet.counts() == CaCounts(2, 2, 2)
    fleet.worker()
    assert fleet.renew()["state"] == "COMPLETED"
    assert fleet.counts() == CaCounts(4, 4, 4)
    assert fleet.renew()["state"] == "COMPLETED"
    assert fleet.counts() == CaCounts(5, 5, 5)


def test_a_rehearsal_that_can_not_be_held_is_named(fleet: Fleet) -> None:
    fleet.build(targets=("web-1",))
    for words, told in (("www", "staging_directory"), ("nobody", "nobody")):
        refused = fleet.redoubt("certs", "rehearse", words)
        assert refused.code != 0
        assert told in refused.err

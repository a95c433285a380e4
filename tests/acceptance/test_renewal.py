"""A renewal as an operator runs it: by the command, on real web servers, from a real CA."""

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

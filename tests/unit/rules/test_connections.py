"""Who is let in, and who makes way: in any order of what arrives, is answered and leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.connections import Bounds, Held, admitted, origin_of

SMALL = Bounds(most=5, most_an_origin=3)


@given(st.lists(st.tuples(st.sampled_from(["arrive", "serve", "wait", "leave"]), st.integers(0, 9))))
def test_the_bounds_hold_and_only_the_one_that_waited_longest_makes_way(acts: list[tuple[str, int]]) -> None:
    held: dict[int, Held] = {}
    for key, (act, number) in enumerate(acts):
        chosen = list(held)[number % len(held)] if held else None
        if act == "arrive":
            origin = "abc"[number % 3]
            before, admission = dict(held), admitted(origin, held, SMALL)
            if admission.makes_way is not None:
                gone = held.pop(admission.makes_way)
                crowd = [one for one in before.values() if one.origin == origin]
                among = crowd if len(crowd) >= SMALL.most_an_origin else list(before.values())
                assert gone == next(one for one in among if one.waits)
                assert admission.yes
            if admission.yes:
                held[key] = Held(origin, waits=True)
            else:
                full = len(before) >= SMALL.most or sum(one.origin == origin for one in before.values()) >= 3
                assert full
        elif chosen is not None and act == "leave":
            del held[chosen]
        elif chosen is not None:
            held[chosen] = held.pop(chosen)._replace(waits=act == "wait")
        assert len(held) <= SMALL.most
        assert all(sum(one.origin == origin for one in held.values()) <= 3 for origin in "abc")


@given(st.integers(0, 5))
def test_a_newcomer_is_refused_only_where_all_are_being_answered(answered: int) -> None:
    held = {key: Held(f"10.0.0.{key}", waits=key >= answered) for key in range(SMALL.most)}
    assert admitted("192.0.2.1", held, SMALL) == (
        (answered < 5),
        None if answered == 5 else answered,
    )


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_an_origin_is_an_address_or_a_network_of_ipv6(address: str, origin: str) -> None:
    assert origin_of(address) == origin

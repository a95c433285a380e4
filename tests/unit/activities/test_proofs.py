"""Proofs of an order that is given up are withdrawn; those of one that goes on, or has shown control, are left."""

from types import SimpleNamespace
from typing import Any

from activities.certificates import proofs
from clients.challenges import Proof
from schemas.errors import UnknownSubject

PROOF = Proof("www.example.com", "token", "token.thumb", wildcard=True, issuer_domains=("ca.example",))


class Shower:
    def __init__(self) -> None:
        self.withdrawn: list[tuple[Proof, ...]] = []

    def prove_control(self, *_: object) -> None:
        raise AssertionError

    def withdraw(self, given: tuple[Proof, ...]) -> None:
        self.withdrawn.append(given)


def step(name: str, result: dict[str, Any] | None) -> Any:
    return SimpleNamespace(step=name, result=result)


def order(name: str) -> list[Any]:
    return [step(f"order/{name}", {}), step(f"proofs/{name}", proofs.kept((PROOF,)))]


def withdrawn(steps: list[Any], going_on: str = "") -> list[tuple[Proof, ...]]:
    shower = Shower()

    def issuer(name: str) -> object:
        if name == "gone":
            raise UnknownSubject("The settings define no issuer 'gone'.")
        return shower if name == "acme" else object()

    around: Any = SimpleNamespace(issuer=issuer, journal=SimpleNamespace(steps=lambda _: tuple(steps)))
    proofs.withdraw_given_up(around, "op-1", going_on)
    return shower.withdrawn


def test_what_was_kept_of_an_order_that_came_to_nothing_is_withdrawn_as_it_was() -> None:
    kept = proofs.kept((PROOF,))
    assert "token.thumb" in str(kept)
    lost = [*order("shared/acme/1"), step("authorize/shared/acme/1", None)]
    assert withdrawn(lost) == [(PROOF,)]
    assert withdrawn([*lost, *order("shared/acme/2")], going_on="shared/acme/2") == [(PROOF,)]
    assert withdrawn(lost, going_on="shared/acme/1") == []


def test_an_earlier_order_or_anothers_takes_nothing_from_the_one_that_runs() -> None:
    """Whoever can write to Temporal can ask for any of them again."""
    running = [*order("shared/one/1"), *order("shared/acme/1"), *order("other/one/1")]
    for asked in ("shared/one/1", "other/one/1"):
        assert withdrawn(running, going_on=asked) == []


def test_an_order_that_has_shown_control_has_taken_its_own_away() -> None:
    done = [
        *order("shared/acme/1"),
        step("authorize/shared/acme/1", {"status": "ready"}),
    ]
    assert withdrawn(done) == []


def test_an_issuer_that_is_gone_or_shows_nothing_holds_up_nothing() -> None:
    steps = [
        *order("shared/gone/1"),
        *order("shared/local/1"),
        *order("shared/acme/1"),
        step("order/shared/acme/2", {}),
        step("proofs/shared/acme/2", None),
    ]
    assert withdrawn(steps) == [(PROOF,)]

"""Around a port: what is refused has no effect, what fails opens it, and threads share one state."""

import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import pytest

from clients.breakers.breaker import Breaker, Breakers
from clients.breakers.guarding import GuardedSecrets, guarded
from clients.temporal.failures import application_error
from schemas.breakers import Phase
from schemas.errors import (
    CaRefused,
    CaUnavailable,
    ChallengeNotVisible,
    DependencyOpen,
    DependencyUnavailable,
    RedoubtError,
)
from schemas.settings.dependencies import BreakerSettings


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Port:
    name = "one"

    def __init__(self) -> None:
        self.error: RedoubtError | None = None
        self.asked = 0

    def act(self, given: str) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return given

    def put_back(self) -> str:
        return self.act("back")


@runtime_checkable
class PutsBack(Protocol):
    def put_back(self) -> str: ...


@runtime_checkable
class Other(Protocol):
    def other(self) -> str: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(BreakerSettings(), clock)


def fail(port: Port, guard: Port, error: RedoubtError, times: int) -> None:
    port.error = error
    for _ in range(times):
        with pytest.raises(type(error)):
            guard.act("x")


def test_after_five_failures_nothing_reaches_the_dependency_until_probes_have_worked(
    breakers: Breakers, clock: Clock
) -> None:
    port = Port()
    guard = guarded(port, breakers.of("issuer/one"), RedoubtError)
    fail(port, guard, CaUnavailable("down"), 5)
    clock.now = 18.0
    with pytest.raises(DependencyOpen) as refused:
        guard.act("x")
    assert port.asked == 5
    assert refused.value.retry_after_s == pytest.approx(42.0)
    assert "issuer/one" in refused.value.detail
    assert "42 s" in refused.value.detail
    clock.now, port.error = 60.0, None
    assert [guard.act(str(turn)) for turn in range(4)] == ["0", "1", "2", "3"]
    (standing,) = breakers.standings()
    assert (standing.phase, standing.refused) == (Phase.CLOSED, 1)


def test_a_refusal_leaves_the_worker_as_a_retry_after_the_time_that_is_left() -> None:
    wire = application_error(DependencyOpen("issuer/one is left alone.", retry_after_s=42.0))
    assert not wire.non_retryable
    assert wire.type == "DependencyOpen"
    assert wire.next_retry_delay is not None
    assert wire.next_retry_delay.total_seconds() == 42.0


def test_an_answer_between_failures_keeps_it_closed(breakers: Breakers) -> None:
    port = Port()
    guard = guarded(port, breakers.of("issuer/one"), RedoubtError)
    for _ in range(3):
        fail(port, guard, CaUnavailable("down"), 4)
        fail(port, guard, CaRefused("these names: no"), 1)
    assert breakers.standings()[0].phase is Phase.CLOSED


def test_an_unknown_exception_says_nothing_and_frees_its_probe(breakers: Breakers, clock: Clock) -> None:
    port = Port()
    guard = guarded(port, breakers.of("issuer/one"), RedoubtError)
    fail(port, guard, CaUnavailable("down"), 5)
    clock.now, port.error = 60.0, None
    for _ in range(10):
        with pytest.raises(TypeError):
            guard.act()  # type: ignore[call-arg]
    assert guard.act("well") == "well"


def test_what_must_not_wait_is_never_refused_and_the_rest_is_the_port_itself(breakers: Breakers) -> None:
    port = Port()
    guard = guarded(port, breakers.of("target/one"), RedoubtError, free=frozenset({"put_back"}))
    fail(port, guard, DependencyUnavailable("down"), 5)
    port.error = None
    with pytest.raises(DependencyOpen):
        guard.act("x")
    assert guard.put_back() == "back"
    assert guard.name == "one"
    assert isinstance(guard, PutsBack)
    assert not isinstance(guard, Other)
    with pytest.raises(AttributeError):
        guard.missing  # type: ignore[attr-defined]  # noqa: B018


def test_each_dependency_has_one_of_its_own(breakers: Breakers) -> None:
    port = Port()
    fail(port, guarded(port, breakers.of("issuer/one"), RedoubtError), CaUnavailable("down"), 5)
    port.error = None
    assert guarded(port, breakers.of("issuer/two"), RedoubtError).act("x") == "x"
    with pytest.raises(DependencyOpen):
        guarded(Port(), breakers.of("issuer/one"), RedoubtError).act("x")
    assert [one.name for one in breakers.standings()] == ["issuer/one", "issuer/two"]


class Source:
    def resolve(self, reference: str) -> bytes:
        if reference.startswith("vault:"):
            raise DependencyUnavailable("Vault did not answer.")
        return b"value"


def test_only_references_into_vault_wait_for_vault(breakers: Breakers) -> None:
    secrets = GuardedSecrets(Source(), breakers.of("vault"))
    for _ in range(5):
        with pytest.raises(DependencyUnavailable):
            secrets.resolve("vault:kv/a#b")
    with pytest.raises(DependencyOpen):
        secrets.resolve("vault:kv/a#b")
    assert secrets.resolve("env:A") == b"value"


def side_by_side(count: int, act: Callable[[], None]) -> None:
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_calls_go_side_by_side_and_exactly_the_probes_are_let_through(clock: Clock) -> None:
    breaker, barrier = Breaker("issuer/one", BreakerSettings(probes=3), clock), threading.Barrier(8)

    def meet_and_fail() -> None:
        with pytest.raises(CaUnavailable):
            breaker.call(meet)

    def meet() -> None:
        barrier.wait(60)  # nobody passes before all eight are inside
        raise CaUnavailable("down")

    side_by_side(8, meet_and_fail)
    assert breaker.standing().phase is Phase.OPEN
    clock.now = 60.0
    inside, released = threading.Semaphore(0), threading.Event()
    refused: list[RedoubtError] = []

    def wait_inside() -> None:
        inside.release()
        assert released.wait(60)

    def probe() -> None:
        try:
            breaker.call(wait_inside)
        except DependencyOpen as error:
            refused.append(error)

    def watch() -> None:
        for _ in range(3):
            assert inside.acquire(timeout=60)
        with pytest.raises(DependencyOpen):
            breaker.call(lambda: None)
        released.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    side_by_side(3, probe)
    watcher.join(60)
    assert not refused
    assert breaker.standing().phase is Phase.CLOSED


def test_a_call_within_a_call_is_part_of_it(clock: Clock) -> None:
    breaker = Breaker("vault/one", BreakerSettings(failures=2, probes=2), clock)

    def down() -> None:
        raise CaUnavailable("down")

    with pytest.raises(CaUnavailable):
        breaker.call(lambda: breaker.call(down))
    assert breaker.standing().phase is Phase.CLOSED
    with pytest.raises(CaUnavailable):
        breaker.call(lambda: breaker.call(down))
    assert breaker.standing().phase is Phase.OPEN
    clock.now = 60.0
    for _ in range(2):
        assert breaker.call(lambda: breaker.call(lambda: "well")) == "well"
    assert breaker.standing().phase is Phase.CLOSED


def test_a_failure_of_something_else_on_the_way_is_none_of_this_dependency(breakers: Breakers) -> None:
    """A name server that is behind while the CA waits for it; a Vault that holds the host's key."""
    port = Port()
    guard = guarded(port, breakers.of("ca/one"), CaUnavailable)
    for error in (ChallengeNotVisible("behind"), DependencyUnavailable("the DNS did not answer")):
        fail(port, guard, error, 9)
    assert breakers.of("ca/one").standing().phase is Phase.CLOSED
    fail(port, guard, CaUnavailable("down"), 5)
    assert breakers.of("ca/one").standing().phase is Phase.OPEN

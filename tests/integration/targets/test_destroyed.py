"""Keys that a target has made are destroyed there once every target holds another, each once, with evidence."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine
from temporalio.testing import ActivityEnvironment

from activities.certificates.retiring import RetiringActivities
from activities.looking import Looks
from clients.targets import Bundle, Fence
from clients.x509 import X509Reader
from schemas.certificates import Close, Retired
from schemas.errors import StillServed
from schemas.evidence import Event
from store.sql.log import SqlLog
from tests.integration.targets.material import NAME, fingerprint, reload_program
from tests.integration.targets.test_drift import Place, engine, place

__all__ = ["engine", "place"]

SEED = b"s" * 32


@contextmanager
def sequencing(engine: Engine) -> Iterator[None]:
    log, ended = SqlLog(engine, "redoubt.invalid/log", SEED), threading.Event()

    def sequence() -> None:
        while not ended.wait(0.02):
            log.sequence()

    thread = threading.Thread(target=sequence)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def renewed(place: Place, number: int, *, closed: bool = True) -> str:
    """A renewal with its key, up to its verification; its operation."""
    operation, key_id = place.operation(place.target.current(), destroy_keys=True), f"{number:04x}"
    chain = place.ca.answer(place.target.make_key(key_id, "EC-P256", (NAME,)))
    version, fence = fingerprint(chain), Fence(operation=operation, epoch=1)
    place.target.stage(Bundle(version=version, fullchain=chain, key_id=key_id, key_uri=None), fence)
    place.target.switch(version, fence)
    place.journal.begin(operation, "key/web-1", Event.KEY_GENERATED, {})
    place.journal.finish(operation, "key/web-1", Event.KEY_GENERATED, {}, {"key_id": key_id})
    place.step(operation, "verify/web-1", version)
    if closed:
        place.journal.close(operation, "renewed", {})
    return operation


def destroyed(place: Place, operation: str) -> tuple[str, ...]:
    nothing: Any = SimpleNamespace(confirm=lambda *_: {}, look=lambda *_: None, take=lambda *_: None)
    around: Any = SimpleNamespace(
        inventory={"www": place.settings},
        journal=place.journal,
        reader=X509Reader(),
        target=lambda _: place.target,
        gate=nothing,
        approvals=nothing,
        room=nothing,
        seals=None,
        looks=Looks(),
    )
    close = Close(operation=operation, certificate="www", outcome="renewed")
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=datetime.now(UTC))
    told: Retired = environment.run(RetiringActivities(around).destroy_keys, close)
    return told.words


def test_what_earlier_renewals_left_at_the_target_is_destroyed_once(
    place: Place, engine: Engine, tmp_path: Path
) -> None:
    reload_program(tmp_path)
    renewed(place, 1)
    renewed(place, 2)
    third = renewed(place, 3, closed=False)
    with sequencing(engine):
        words = destroyed(place, third)
        assert words == (
            "key 0002 in target/web-1 was destroyed",
            "key 0001 in target/web-1 was destroyed",
        )
        place.journal.close(third, "renewed", {})
        fourth = renewed(place, 4, closed=False)
        assert destroyed(place, fourth) == ("key 0003 in target/web-1 was destroyed",)
    assert [file.name for file in (place.folder / "keys").iterdir()] == ["0004.pem"]
    assert len(list((place.folder / "versions").iterdir())) == 1
    steps = {
        step.step: step.result for step in place.journal.steps(third) if step.step.startswith("destroy/")
    }
    assert steps == {f"destroy/target/web-1/000{number}": {"destroyed": True} for number in (1, 2)}


def test_nothing_is_destroyed_while_the_target_holds_another_than_was_verified(place: Place) -> None:
    renewed(place, 1)
    first = place.target.current()
    second = renewed(place, 2, closed=False)
    place.target.switch_back(first, Fence(operation=second, epoch=2))
    with pytest.raises(StillServed):
        destroyed(place, second)
    assert len(list((place.folder / "keys").iterdir())) == 2

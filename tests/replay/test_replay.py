"""Today's code does what the recorded histories say, and a change that would not is caught."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from cli.histories import decoded, unreadable
from clients.temporal.codec import ENCODING, RedoubtCodec
from clients.temporal.keyring import PayloadKey, Ring
from clients.temporal.plugin import RedoubtPlugin
from tests.integration.temporal.house import payloads_in
from tests.replay.corpus import FOLDER, MANIFEST, Recorded, history, recorded
from tests.replay.mutated import Reordered, StagedLater
from tests.replay.ring import TEST_ONLY_KEY, TestOnlyRing
from tests.replay.scenarios import SCENARIOS, WORKFLOWS

CORPUS = recorded()


def replayer(workflows: tuple[type, ...] = WORKFLOWS, ring: Ring | None = None) -> Replayer:
    return Replayer(workflows=workflows, plugins=[RedoubtPlugin(RedoubtCodec(ring or TestOnlyRing()))])


def named(name: str) -> Recorded:
    return next(one for one in CORPUS if one.name == name)


async def failure(history: WorkflowHistory, with_: Replayer) -> Exception | None:
    return (await with_.replay_workflow(history, raise_on_replay_failure=False)).replay_failure


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one.name)
async def test_todays_code_replays_what_was_recorded(one: Recorded) -> None:
    assert await failure(history(one), replayer()) is None


def test_the_manifest_the_files_and_the_scenarios_agree() -> None:
    names = {scenario.name for scenario in SCENARIOS}
    assert {one.name for one in CORPUS} == names
    assert {file.stem for file in FOLDER.glob("*.json") if file != MANIFEST} == names


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one.name)
async def test_the_corpus_is_encrypted_and_names_no_machine(one: Recorded) -> None:
    recorded_one = history(one)
    payloads = [payload for event in recorded_one.events for payload in payloads_in(event)]
    sealed = [payload for payload in payloads if payload.metadata["encoding"] == ENCODING]
    assert sealed
    assert {payload.metadata["key-id"] for payload in sealed} == {TEST_ONLY_KEY.id.encode()}
    plain = [payload for payload in payloads if payload.metadata["encoding"] != ENCODING]
    assert all(payload.metadata.get("type") == b"Keyword" for payload in plain)
    assert '"identity": "recorder"' in (FOLDER / f"{one.name}.json").read_text()
    assert "@" not in (FOLDER / f"{one.name}.json").read_text()
    readable = await decoded(recorded_one, RedoubtCodec(TestOnlyRing()))
    assert len(readable.events) == len(recorded_one.events)


@pytest.mark.parametrize(
    ("recorded_as", "changed"), [("platform-errand", Reordered), ("certificate-renewed", StagedLater)]
)
async def test_a_reordered_step_is_caught(recorded_as: str, changed: type) -> None:
    one = named(recorded_as)
    others = tuple(kind for kind in WORKFLOWS if kind.__name__ != one.workflow_type)
    caught = await failure(history(one), replayer((*others, changed)))
    assert isinstance(caught, NondeterminismError)


async def test_a_missing_key_is_told_apart_from_a_changed_workflow() -> None:
    """The replayer itself can't: to it, both are a task that failed."""
    ring = TestOnlyRing(PayloadKey("test-only/2", TEST_ONLY_KEY.secret))
    one = history(named("platform-errand"))
    assert await failure(one, replayer(ring=ring)) is not None
    assert "test-only/1" in await unreadable(one, RedoubtCodec(ring))
    assert await unreadable(one, RedoubtCodec(TestOnlyRing())) == ""

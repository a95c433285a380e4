"""What the corpus holds. To add a history: write how it comes about, and put it into `SCENARIOS`.

A scenario plays against a real server with a worker of its own, which runs its workflows and activities; `play`
starts a run on the queue, brings it to its end, and returns its handle. Its workflow ID must not change between
recordings, since it stands in the manifest.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from schemas.errors import NotAuthorized, OrderLost, VerificationFailed
from tests.replay import certificates, platform
from tests.replay.certificates import Steps
from tests.replay.handles import Handle, failed
from tests.replay.platform import Errand, Word
from workflows.unknown import UnknownWorkflow

Play = Callable[[Client, str], Awaitable[Handle]]


@dataclass(frozen=True)
class Scenario:
    name: str
    why: str
    play: Play
    workflows: Sequence[type] = platform.WORKFLOWS
    activities: Callable[[], Sequence[Callable[..., object]]] = lambda: platform.ACTIVITIES
    """Called once a recording."""


async def _errand(client: Client, queue: str) -> Handle:
    handle = await _start(client, queue, "RunErrand", Errand(name="errand", note="a"))
    await handle.result()
    return handle


async def _failing(client: Client, queue: str) -> Handle:
    given = Errand(name="failing", fails="catalogue")
    return await failed(await _start(client, queue, "RunErrand", given))


async def _refused_input(client: Client, queue: str) -> Handle:
    return await failed(await _start(client, queue, "RunErrand", {"name": "refused", "pin": "1234"}))


async def _empty_form(client: Client, queue: str) -> Handle:
    handle: Handle = await client.start_workflow("RunErrand", id="corpus/empty-form", task_queue=queue)
    return await failed(handle)


async def _listening(client: Client, queue: str) -> Handle:
    handle = await _start(client, queue, "Listen", Errand(name="listening", note="a"))
    await handle.signal("hear", Word(text="b"))
    await handle.signal("hear", {"wrong": 1})
    await handle.signal("nobody listens")
    await handle.execute_update("agree", Word(text="c"))
    await handle.execute_update("tell", Word(text="d"))
    await handle.signal("end")
    await handle.result()
    return handle


async def _relayed(client: Client, queue: str) -> Handle:
    handle = await _start(client, queue, "Relay", Errand(name="relayed", count=2))
    await handle.result()
    return handle


async def _unknown_type(client: Client, queue: str) -> Handle:
    return await failed(await _start(client, queue, "NobodyHasThis", Errand(name="unknown")))


async def _start(client: Client, queue: str, kind: str, given: Any) -> Handle:
    subject = given.subject if isinstance(given, Errand) else given["name"]
    return await client.start_workflow(kind, given, id=f"corpus/{subject}", task_queue=queue)


def _certificate(name: str, why: str, steps: Steps, play: Play = certificates.renewal) -> Scenario:
    return Scenario(f"certificate-{name}", why, play, certificates.WORKFLOWS, steps)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "platform-errand", "activity, timer and child workflow in order, with correlation headers", _errand
    ),
    Scenario(
        "platform-failing", "an activity fails with an error of the catalogue, and the run with it", _failing
    ),
    Scenario(
        "platform-refused-input",
        "a run that failed on its input, replayed under the same validation",
        _refused_input,
    ),
    Scenario(
        "platform-empty-form",
        "no argument at all, refused by the interceptor",
        _empty_form,
    ),
    Scenario(
        "platform-listening",
        "a malformed and an unknown signal, updates with and without a validator",
        _listening,
    ),
    Scenario("platform-relayed", "the last run of a continue-as-new carries the correlation on", _relayed),
    Scenario("platform-unknown-type", "the dynamic workflow refuses an unknown type", _unknown_type),
    _certificate("renewed", "every step in order, two waves, a grace", Steps(grace_s=0.1)),
    _certificate(
        "approved",
        "nobody of the first group answers in time, and one of the second approves",
        Steps(approval=True),
        certificates.approved,
    ),
    _certificate(
        "grace-ended", "a grace that ends before its time", Steps(grace_s=3600), certificates.grace_ended
    ),
    _certificate("not-due", "nothing but the plan", Steps(due=False)),
    _certificate(
        "worker-killed",
        "steps before, while and after targets are switched whose worker was lost, and which were tried again",
        Steps(lost=frozenset({"obtain_certificate", "switch", "verify"})),
    ),
    _certificate(
        "order-lost",
        "the first CA forgets the order three times, and the second one issues",
        Steps(refused={f"obtain_certificate/acme/{turn}": OrderLost("forgotten") for turn in (1, 2, 3)}),
    ),
    _certificate(
        "undone",
        "the last wave does not verify, and all is put back",
        Steps(refused={"verify/web-3": VerificationFailed("web-3 shows the old one.")}),
        certificates.undone,
    ),
    _certificate(
        "aborted",
        "somebody aborts it in its grace, and all is put back",
        Steps(grace_s=3600),
        certificates.aborted,
    ),
    _certificate(
        "not-put-back",
        "nobody may put it back, so it goes forward three times",
        Steps(
            refused={
                "verify/web-3": VerificationFailed("Somebody says so."),
                "begin_undo": NotAuthorized("Nothing is put back."),
            }
        ),
        certificates.undone,
    ),
    _certificate(
        "undo-taken-over", "the run before was ended in its undo", Steps(undoing=True), certificates.undone
    ),
    _certificate("swept", "one is renewed, one is running already", Steps(), certificates.swept),
)

WORKFLOWS: tuple[type, ...] = (
    *dict.fromkeys(workflow for scenario in SCENARIOS for workflow in scenario.workflows),
    UnknownWorkflow,
)
"""What the replayer is given: today's code of every type that the corpus holds."""

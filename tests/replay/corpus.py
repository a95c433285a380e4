"""The recorded histories on disk: one JSON file each, as the Temporal UI exports them, and a manifest that says why.

Payloads are encrypted as in production, with the key in `tests.replay.ring`.
"""

import json
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from temporalio.client import WorkflowHistory

from schemas.contract import Contract

FOLDER: Final = Path(__file__).parent / "corpus"
MANIFEST: Final = FOLDER / "manifest.json"


class Recorded(Contract):
    name: str
    """Also the file's: `NAME.json`."""
    workflow_type: str
    workflow_id: str
    sdk: str
    """The Temporal Python SDK that recorded it."""
    why: str


_MANIFEST = TypeAdapter(tuple[Recorded, ...])


def recorded() -> tuple[Recorded, ...]:
    return _MANIFEST.validate_json(MANIFEST.read_bytes())


def history(one: Recorded) -> WorkflowHistory:
    return WorkflowHistory.from_json(one.workflow_id, (FOLDER / f"{one.name}.json").read_text())


def write(entries: tuple[tuple[Recorded, WorkflowHistory], ...]) -> None:
    """Replace the whole corpus: what no scenario records any more goes."""
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for one, events in entries:
        told = json.dumps(json.loads(events.to_json()), indent=1, sort_keys=True)
        (FOLDER / f"{one.name}.json").write_text(told + "\n")
    MANIFEST.write_text(json.dumps([one.model_dump() for one, _ in entries], indent=2) + "\n")

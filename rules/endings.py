"""What the records must show before an operation is closed as ended well, or as put back.

A workflow's word counts for nothing here: whoever can write to Temporal can run the last step of any operation, and
one that is closed too early is neither finished nor put back by anybody.

Invariants:
- "renewed": it does not undo itself, and every target of the plan was verified.
- "undone": it undoes itself, and every target whose switch was begun was put back.
- "revoked": every certificate of the plan was revoked.
- "failed": no certificate is in the middle of being revoked; whoever has that given up all the same has signed it.
"""

from collections.abc import Collection, Mapping

SWITCH = "switch/"
REVOKE = "revoke/"


def not_shown(
    outcome: str, plan: Collection[str], ended: Mapping[str, bool], *, undoing: bool = False
) -> tuple[str, ...]:
    """What is missing, as steps of the journal; empty if it may be closed so.

    `plan`: its targets, or the fingerprints to be revoked. `ended`: each step that was begun, and whether it has an
    outcome.
    """
    match outcome:
        case "renewed":
            wanted = [f"verify/{target}" for target in plan]
            return ("going forward",) if undoing else _missing(wanted, ended)
        case "undone":
            wanted = [f"undo/{step.removeprefix(SWITCH)}" for step in ended if step.startswith(SWITCH)]
            return _missing(wanted, ended) if undoing else ("undoing",)
        case "revoked":
            return _missing([f"{REVOKE}{fingerprint}" for fingerprint in plan], ended)
        case "failed":
            return _missing([step for step in ended if step.startswith(REVOKE)], ended)
    return (f"an outcome {outcome!r}",)


def _missing(wanted: Collection[str], ended: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(step for step in wanted if not ended.get(step))

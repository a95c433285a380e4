"""A run tells its own story: where it is, what each thing it works on is doing, what it waits for, who can act.

The Web UI shows it as current details (Markdown), the query `status` answers it as data, and the search
attributes let lists filter by it. A run has a static summary and details from whoever started it; one that comes from
the Web UI's form has none, unless a person types some, so the current details begin with what the run does.
"""

from dataclasses import dataclass, field

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from schemas.catalogue import WORKFLOW_TYPES
from schemas.runs import RunStatus

PHASE = SearchAttributeKey.for_keyword("RedoubtPhase")
SUBJECT = SearchAttributeKey.for_keyword("RedoubtSubject")
_GAP = "\N{NO-BREAK SPACE}" * 3
SEVERITY = SearchAttributeKey.for_keyword("RedoubtSeverity")

_MARKS = frozenset("\\`*_[]<>|!#")


@dataclass
class Story:
    subject: str
    steps: int = 0
    """How many steps the whole run has, if all goes well."""
    phase: str = "starting"
    done: int = 0
    waits_for: str = ""
    who_can_act: str = ""
    paused: bool = False
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    """The table: one row a target, its columns in the order in which they were first told."""
    result: str = ""
    about: str = ""
    """What runs of its type do, in one sentence."""

    def begin(self, severity: str = "routine") -> None:
        kind = WORKFLOW_TYPES.get(workflow.info().workflow_type)
        self.about = kind.summary if kind else ""
        workflow.upsert_search_attributes(
            [PHASE.value_set(self.phase), SUBJECT.value_set(self.subject), SEVERITY.value_set(severity)]
        )
        self.tell()

    def enter(self, phase: str, *, waits_for: str = "", who_can_act: str = "") -> None:
        """Another phase: searchable from now on."""
        self.phase, self.waits_for, self.who_can_act = phase, waits_for, who_can_act
        workflow.upsert_search_attributes([PHASE.value_set(phase)])
        self.tell()

    def severe(self, severity: str) -> None:
        workflow.upsert_search_attributes([SEVERITY.value_set(severity)])

    def row(self, name: str, **columns: str) -> None:
        self.rows.setdefault(name, {}).update(columns)
        self.tell()

    def step_done(self) -> None:
        self.done += 1
        self.tell()

    def tell(self) -> None:
        workflow.set_current_details(self.markdown())

    def status(self) -> RunStatus:
        return RunStatus(
            phase=self.phase,
            done=self.done,
            total=self.steps,
            waits_for=self.waits_for,
            who_can_act=self.who_can_act,
            paused=self.paused,
            table=tuple({"name": name, **columns} for name, columns in self.rows.items()),
        )

    def markdown(self) -> str:
        lines = [f"**{self.subject}**: {self.phase}" + (" (paused)" if self.paused else "")]
        if self.about:
            lines.append(f"*{self.about}*")
        if self.steps:
            lines.append(f"{self.done} of {self.steps} steps done")
        if self.waits_for:
            lines.append(f"Waits for: {self.waits_for}")
        if self.who_can_act:
            lines.append(f"Can act: {self.who_can_act}")
        if self.rows:
            lines.append(_table(self.rows))
        if self.result:
            lines.append(self.result)
        return "\n\n".join(lines)


def plain(text: str) -> str:
    """Words from outside (a CA's reason, a command's output) as Markdown shows them letter for letter, on one line."""
    return "".join(f"\\{sign}" if sign in _MARKS else sign for sign in " ".join(text.split()))


def _table(rows: dict[str, dict[str, str]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = [_line(["", *columns]), "|---" * (len(columns) + 1) + "|"]
    return "\n".join(
        head + [_line([name, *(row.get(column, "") for column in columns)]) for name, row in rows.items()]
    )


def _line(cells: list[str]) -> str:
    """The Web UI draws tables without any space between columns: no-break spaces keep them apart."""
    return "| " + f"{_GAP} | ".join(cells) + " |"

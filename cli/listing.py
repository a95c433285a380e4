"""Runs found by visibility: by type, phase and subject, over every namespace that holds a capability."""

import re
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client, WorkflowExecution

from cli.cluster import Cluster, speaking
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import InvalidInput


@dataclass(frozen=True)
class Filter:
    kind: str = ""
    phase: str = ""
    subject: str = ""
    running: bool = False

    def query(self) -> str:
        """As the server's visibility takes it; a filter can't leave its quotes."""
        kinds = [self.kind] if self.kind else list(WORKFLOW_TYPES)
        parts = [f"WorkflowType IN ({', '.join(map(_quoted, kinds))})"]
        parts += [f"RedoubtPhase = {_quoted(self.phase)}"] if self.phase else []
        parts += [f"RedoubtSubject = {_quoted(self.subject)}"] if self.subject else []
        parts += ["ExecutionStatus = 'Running'"] if self.running else []
        return " AND ".join(parts)


async def listed(cluster: Cluster, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    """Newest first."""
    query, rows = wanted.query(), list[dict[str, Any]]()
    for client in await cluster.clients():
        with speaking(f"The namespace {client.namespace}"):
            rows += [_row(cluster, client, run) async for run in client.list_workflows(query, limit=limit)]
    return sorted(rows, key=lambda row: str(row["started"]), reverse=True)[:limit]


def _row(cluster: Cluster, client: Client, run: WorkflowExecution) -> dict[str, Any]:
    attributes = {pair.key.name: pair.value for pair in run.typed_search_attributes}
    return {
        "workflow_id": run.id,
        "run_id": run.run_id,
        "type": run.workflow_type,
        "state": run.status.name if run.status else "UNKNOWN",
        "phase": attributes.get("RedoubtPhase", ""),
        "subject": attributes.get("RedoubtSubject", ""),
        "correlation_id": attributes.get("RedoubtCorrelationId", ""),
        "started": f"{run.start_time:%Y-%m-%d %H:%M:%S}Z",
        "closed": f"{run.close_time:%Y-%m-%d %H:%M:%S}Z" if run.close_time else "",
        "link": cluster.link(client, run.id, run.run_id),
    }


def _quoted(value: str) -> str:
    if not re.fullmatch(r"[^'\"`\\\x00-\x1f]{1,200}", value):
        raise InvalidInput(
            "A filter has 1 to 200 characters and no quotes, backslashes or control characters."
        )
    return f"'{value}'"

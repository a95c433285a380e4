"""What holds an open run up: its steps whose last attempt failed and that are tried again, as the server knows them."""

from temporalio.client import Client, WorkflowExecutionDescription

from workflows.failures import code_of, detail_of


async def held_up(client: Client, described: WorkflowExecutionDescription) -> tuple[str, ...]:
    """The error of each such step, with its code; the same error once."""
    failures = [
        await client.data_converter.decode_failure(pending.last_failure)
        for pending in described.raw_description.pending_activities
        if pending.HasField("last_failure")
    ]
    return tuple(dict.fromkeys(f"{code_of(failure)}: {detail_of(failure)}" for failure in failures))

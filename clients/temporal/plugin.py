"""Redoubt's one Temporal plugin: converter, codec, failures and interceptors for client, worker and replayer alike.

Give it to the client, and workers made from that client have it; a `Replayer` needs `plugins=[…]` itself.
"""

from typing import Final

from temporalio.client import ClientConfig
from temporalio.common import HeaderCodecBehavior
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.plugin import SimplePlugin
from temporalio.worker import ReplayerConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from clients.temporal.converter import RedoubtPayloadConverter
from clients.temporal.failures import FAIL_THE_RUN, RedoubtFailureConverter
from clients.temporal.interceptors import CorrelationInterceptor
from clients.temporal.sandbox import QuickSandbox
from clients.temporal.spans import Spans

PASSED_THROUGH: Final = (
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "schemas",
    "rules",
    "activities",
    "clients",
    "store",
    "workflows.approving",
    "workflows.doing",
    "workflows.failures",
    "workflows.steering",
    "workflows.story",
)
"""Imported once and shared by all runs: contracts, rules and what workflows are built from have no state of their own,
and of the others a workflow only refers to names. Imported anew they would cost each run about 90 ms of CPU."""


class RedoubtPlugin(SimplePlugin):
    def __init__(self, codec: PayloadCodec, *, spans: Spans | None = None) -> None:
        super().__init__(
            "redoubt",
            data_converter=data_converter(codec),
            interceptors=[CorrelationInterceptor(spans)],
            workflow_runner=_passing_through,
            workflow_failure_exception_types=FAIL_THE_RUN,
        )

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        config["header_codec_behavior"] = HeaderCodecBehavior.CODEC
        return super().configure_client(config)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        config["header_codec_behavior"] = HeaderCodecBehavior.CODEC
        return super().configure_replayer(config)


def data_converter(codec: PayloadCodec) -> DataConverter:
    """For whoever reads histories without a client: the codec server's tests, the replay harness."""
    return DataConverter(
        payload_converter_class=RedoubtPayloadConverter,
        failure_converter_class=RedoubtFailureConverter,
        payload_codec=codec,
    )


def _passing_through(runner: WorkflowRunner | None) -> WorkflowRunner:
    runner = runner or SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    return QuickSandbox(
        runner.restrictions.with_passthrough_modules(*PASSED_THROUGH), runner_class=runner.runner_class
    )

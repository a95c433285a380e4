"""The sandbox answers for contexts without being entered, which is right only while nothing of ours uses one."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import (
    PayloadCodec,
    StorageDriverStoreContext,
    WithSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from clients.temporal.codec import RedoubtCodec
from clients.temporal.converter import RedoubtPayloadConverter
from clients.temporal.plugin import PASSED_THROUGH, RedoubtPlugin, data_converter
from clients.temporal.sandbox import QuickSandbox


class _NoCodec(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)


class _Sandboxed(WorkflowInstance):
    """What the SDK would make: it must not be asked for contexts."""

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return WorkflowActivationCompletion(run_id=act.run_id)

    def get_info(self) -> Any:
        return "info"

    def get_thread_id(self) -> int | None:
        return 7

    def get_serialization_context(self, command_info: Any) -> None:
        raise AssertionError(f"the sandbox was entered for {command_info}")

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        raise AssertionError(f"the sandbox was entered for {command_info}")


def test_nothing_of_ours_asks_for_a_context() -> None:
    converter = data_converter(_NoCodec())
    composite = RedoubtPayloadConverter()
    parts = (*composite.converters.values(), converter.failure_converter)
    assert not any(isinstance(part, WithSerializationContext) for part in parts)
    assert not issubclass(RedoubtCodec, WithSerializationContext)
    assert converter.external_storage is None


def test_the_plugin_runs_workflows_in_this_sandbox_with_our_modules_passed_through() -> None:
    runner = cast("Any", RedoubtPlugin(_NoCodec()).workflow_runner)(None)
    assert isinstance(runner, QuickSandbox)
    assert set(PASSED_THROUGH) <= set(runner.restrictions.passthrough_modules)


def test_the_restrictions_of_a_given_sandbox_are_kept() -> None:
    given = SandboxedWorkflowRunner(SandboxedWorkflowRunner().restrictions.with_passthrough_modules("theirs"))
    runner = cast("Any", RedoubtPlugin(_NoCodec()).workflow_runner)(given)
    assert {"theirs", *PASSED_THROUGH} <= set(runner.restrictions.passthrough_modules)
    assert runner.runner_class is given.runner_class


def test_an_instance_does_its_work_in_the_sandbox_and_answers_for_contexts_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SandboxedWorkflowRunner, "create_instance", lambda _self, _details: _Sandboxed())
    instance = QuickSandbox().create_instance(cast("WorkflowInstanceDetails", None))
    assert instance.activate(WorkflowActivation(run_id="r")).run_id == "r"
    assert instance.get_info() == "info"  # type: ignore[comparison-overlap]  # stands for it here
    assert instance.get_thread_id() == 7
    assert instance.get_serialization_context(None) is None
    assert instance.get_external_store_context(None).target is None

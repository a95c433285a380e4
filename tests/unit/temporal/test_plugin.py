"""What the plugin changes in a worker's configuration, and what it leaves alone."""

import subprocess
import sys

from temporalio.client import Client
from temporalio.common import HeaderCodecBehavior
from temporalio.worker import Replayer, ReplayerConfig, UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from clients.temporal.codec import RedoubtCodec
from clients.temporal.plugin import PASSED_THROUGH, RedoubtPlugin
from schemas.errors import RedoubtError
from tests.replay.ring import TestOnlyRing
from workflows.unknown import UnknownWorkflow

PLUGIN = RedoubtPlugin(RedoubtCodec(TestOnlyRing()))


def test_the_sandbox_stays_and_shares_what_has_no_state() -> None:
    config = PLUGIN.configure_replayer(ReplayerConfig(workflow_runner=SandboxedWorkflowRunner()))
    runner = config["workflow_runner"]
    assert isinstance(runner, SandboxedWorkflowRunner)
    assert set(PASSED_THROUGH) <= runner.restrictions.passthrough_modules
    assert not runner.restrictions.passthrough_all_modules
    assert "workflows" not in runner.restrictions.passthrough_modules


def test_somebody_elses_runner_is_left_alone() -> None:
    other = UnsandboxedWorkflowRunner()
    assert PLUGIN.configure_replayer(ReplayerConfig(workflow_runner=other))["workflow_runner"] is other


async def test_client_and_replayer_get_the_same_parts() -> None:
    client = await Client.connect("127.0.0.1:1", plugins=[PLUGIN], lazy=True)
    given = client.config(active_config=True)
    replayer = Replayer(workflows=[UnknownWorkflow], plugins=[PLUGIN]).config(active_config=True)
    assert given["header_codec_behavior"] == replayer["header_codec_behavior"] == HeaderCodecBehavior.CODEC
    assert given["data_converter"] is replayer["data_converter"]
    assert [*given["interceptors"]] == [*replayer["interceptors"]]  # type: ignore[comparison-overlap]  # ours is both
    assert list(replayer["workflow_failure_exception_types"]) == [RedoubtError]


def test_what_a_client_loads_is_small() -> None:
    """Neither encryption nor OpenTelemetry nor structlog come with the plugin; its codec brings the first."""
    heavy = ("cryptography", "opentelemetry.sdk", "structlog", "sqlalchemy", "rich")
    program = f"import sys, clients.temporal.plugin; print([m for m in {heavy!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert loaded.stdout.strip() == "[]"

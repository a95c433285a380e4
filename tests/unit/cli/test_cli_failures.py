"""However a command ends, people get one paragraph and an exit code that means something, never a traceback."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli import failures
from cli.failures import exit_code
from cli.output import ExitCode
from schemas.errors import CATALOGUE, AlreadyRunning, DependencyUnavailable, RedoubtError, VerificationFailed
from tests.unit.cli.conftest import Redoubt

ROOT = Path(__file__).parents[3]
PLANTED = "Pl4ntedCanary"


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("cli.config.locate", fail)
    monkeypatch.setattr("cli.config.problems", fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AlreadyRunning("x is."), ExitCode.FAILED),
        (DependencyUnavailable("x is away."), ExitCode.UNREACHABLE),
        (VerificationFailed("x is not y."), ExitCode.VERIFICATION),
    ],
)
def test_an_error_of_the_catalogue_says_what_to_do(
    error: RedoubtError, code: ExitCode, redoubt: Redoubt, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raising(monkeypatch, error)
    said = redoubt("config", "check")
    assert said.code == code
    assert said.err == (
        f"Error: {error.code}: {error.detail} {error.type.what_to_do} (correlation ID {failures.correlation_id})\n"
    )


def test_an_unknown_error_is_logged_and_not_shown(
    redoubt: Redoubt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _raising(monkeypatch, ZeroDivisionError(PLANTED))
    said = redoubt("config", "check")
    log = tmp_path / "state" / "redoubt" / "errors.log"
    assert said.code == ExitCode.FAILED
    assert said.err.startswith("Error: Internal: ")
    assert failures.correlation_id in said.err
    assert "Traceback" not in said.err
    assert PLANTED not in said.err
    assert failures.correlation_id in log.read_text()
    assert PLANTED in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_debug_shows_the_traceback(redoubt: Redoubt, monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(monkeypatch, ZeroDivisionError(PLANTED))
    said = redoubt("--debug", "config", "check")
    assert "Traceback" in said.err


def test_a_log_that_can_not_be_written_hides_nothing(
    redoubt: Redoubt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file, no folder")
    _raising(monkeypatch, ZeroDivisionError(PLANTED))
    said = redoubt("config", "check")
    assert said.code == ExitCode.FAILED
    assert "--debug" in said.err


def test_interrupts_are_quiet(redoubt: Redoubt, monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(monkeypatch, KeyboardInterrupt())
    said = redoubt("config", "check")
    assert (said.code, said.out, said.err) == (ExitCode.INTERRUPTED, "", "")


def test_usage_errors_point_to_the_help(redoubt: Redoubt) -> None:
    said = redoubt("schema", "--nonsense")
    assert said.code == ExitCode.USAGE
    assert "Try 'redoubt schema --help'." in said.err
    assert "--nonsense" in said.err


def test_every_code_of_the_catalogue_has_an_exit_code_that_is_no_success() -> None:
    assert {exit_code(code) for code in CATALOGUE} == {
        ExitCode.FAILED,
        ExitCode.USAGE,
        ExitCode.VERIFICATION,
        ExitCode.UNREACHABLE,
    }


def test_a_caller_s_correlation_id_is_kept_if_it_is_well_formed(
    redoubt: Redoubt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "correlation_id", failures.correlation_id)
    said = redoubt("start", "CertificateSweep", "--input", "-", "--correlation-id", "no spaces, please")
    assert said.code == ExitCode.USAGE
    assert "--correlation-id" in said.err
    failures.adopt("order-12345")
    assert failures.correlation_id == "order-12345"


@pytest.mark.parametrize("first", ["", "import temporalio.bridge.runtime; "])
def test_the_process_leaves_with_the_exit_code_and_all_its_words(first: str) -> None:
    """Also when Temporal's client is loaded, whose threads are not waited for."""
    script = (
        f"{first}import sys; sys.argv = ['redoubt', 'schema', 'Nothing']; from cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert done.stderr.startswith("Error: UnknownWorkflowType: There is no workflow type 'Nothing'.")


def test_a_reader_that_has_had_enough_gets_no_complaint() -> None:
    script = f"{sys.executable} -m cli.main config example | head -1"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.startswith("# The settings of Redoubt.")
    assert done.stderr == ""

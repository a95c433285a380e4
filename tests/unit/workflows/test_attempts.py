"""One attempt at a target, or at all of them, is longer than its parts may take together at the settings' maxima."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from activities.certificates.sweeping import SWEEP
from activities.looking import Looks
from clients.hosts import Answer, Host, ssh
from clients.probes import waiting
from clients.secrets import vault_session
from clients.targets import Fence, Target, commands, kubernetes_secret
from clients.targets.files import FilesTarget
from clients.targets.folder import Folder
from clients.targets.secret import SecretTarget
from clients.targets.shelves import FENCE, Document, Kept, Shelf
from clients.targets.ssh_files import SshFilesTarget
from schemas.settings import targets
from schemas.settings.certificates import CertificateSettings
from workflows.certificates.renewal import AT_A_TARGET, AT_EVERY_TARGET
from workflows.certificates.sweep import A_LOOK_AT_ALL

OUR_OWN = timedelta(minutes=2)
"""For names that are looked up and records that are locked."""


def most(model: type, field: str) -> float:
    limits: Sequence[Any] = model.model_fields[field].metadata  # type: ignore[attr-defined]
    return float(next(one.le for one in limits if hasattr(one, "le")))


def here(waits: list[float], folder: Path, monkeypatch: pytest.MonkeyPatch) -> FilesTarget:
    @contextmanager
    def locked(_: Folder, within_s: float) -> Iterator[None]:
        waits.append(within_s)
        yield

    def run(_target: str, _what: str, _argv: Sequence[str], timeout_s: float) -> None:
        waits.append(timeout_s)

    monkeypatch.setattr(Folder, "locked", locked)
    monkeypatch.setattr(commands, "run", run)
    given = {"name": "a", "directory": str(folder), "reload": ["r"], "check": ["c"], "verify": {"host": "h"}}
    slowest = most(targets.FilesTarget, "reload_timeout_s")
    return FilesTarget(targets.FilesTarget.model_validate({**given, "reload_timeout_s": slowest}))


@dataclass
class SlowHost:
    """The port `Host`, behind another one."""

    waits: list[float]

    def run(self, _argv: Sequence[str], timeout_s: float) -> Answer:
        self.waits.append(2 * ssh._CONNECT_S + timeout_s)
        return Answer(code=0, output=b"", words="")


def elsewhere(waits: list[float], _folder: Path, _monkeypatch: pytest.MonkeyPatch) -> SshFilesTarget:
    login = {"host": "h", "user": "u", "key": "env:K", "host_key": "ssh-ed25519 AAAA"}
    given = {"kind": "ssh-files", "name": "a", "ssh": login, "directory": "/d", "verify": {"host": "h"}}
    slowest = {"reload_timeout_s": most(targets.SshFilesTarget, "reload_timeout_s")}
    settings = targets.SshFilesTarget.model_validate({**given, "reload": ["r"], "check": ["c"], **slowest})
    return SshFilesTarget(settings, cast("Host", SlowHost(waits)))


@dataclass
class SlowShelf:
    """The port `Shelf`: each call may log in, ask, and do both again, each time late in both ways."""

    waits: list[float]

    def get(self, name: str) -> Kept | None:
        self._asked()
        document = Document(certificate="c", private_key="k", marks={"key": "aa"})
        return None if name == FENCE else Kept(document=document, revision="1", made_at="")

    def put(self, *_: object) -> bool:
        self._asked()
        return True

    def _asked(self) -> None:
        self.waits.append(4 * 2 * max(vault_session._TIMEOUT_S, kubernetes_secret._TIMEOUT_S))


def in_a_store(waits: list[float], _folder: Path, _monkeypatch: pytest.MonkeyPatch) -> SecretTarget:
    return SecretTarget("a", cast("Shelf", SlowShelf(waits)), 3)


@pytest.mark.parametrize(
    ("target", "version", "parts"), [(here, None, 3), (elsewhere, "f" * 64, 3), (in_a_store, "f" * 64, 6)]
)
def test_a_target_that_is_slow_throughout_is_put_back_and_verified_within_one_attempt(
    target: Callable[[list[float], Path, pytest.MonkeyPatch], Target],
    version: str | None,
    parts: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    target(waits, tmp_path, monkeypatch).switch_back(version, Fence(operation="operation", epoch=2))
    assert len(waits) == parts
    verified = most(CertificateSettings, "verify_timeout_s") + waiting._ONE_HANDSHAKE_S
    # Half-way through its verification it is asked once again.
    assert timedelta(seconds=2 * sum(waits) + verified) + OUR_OWN < AT_A_TARGET


def test_a_step_that_visits_all_targets_may_look_at_them_twice() -> None:
    assert timedelta(seconds=2 * Looks().all_s) + OUR_OWN < AT_EVERY_TARGET


def test_a_sweep_ends_its_look_within_one_attempt_and_each_certificate_has_time_for_its_targets() -> None:
    assert timedelta(seconds=SWEEP.all_s) + OUR_OWN < A_LOOK_AT_ALL
    assert Looks().all_s < SWEEP.each_s < SWEEP.all_s

"""A file that someone else has changed makes its certificate due, in words that say what and where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from activities.certificates.drift import drifted
from activities.looking import Looks
from clients.targets.files import FilesTarget
from schemas.certificates import Group, RenewalPlan
from schemas.evidence import Event
from schemas.settings.certificates import CertificateSettings
from store.spool import Spool
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from tests.integration.targets.material import TestCa, configured, going, renew, undoing


@dataclass
class Place:
    journal: SqlJournal
    target: FilesTarget
    settings: CertificateSettings
    folder: Path
    ca: TestCa

    def drifted(self) -> str | None:
        return drifted(self.journal, lambda _: self.target, "www", self.settings, Looks())

    def operation(self, previous: str | None, *, destroy_keys: bool = False) -> str:
        plan = RenewalPlan(
            operation="",
            certificate="www",
            names=("www.example.test",),
            issuers=("local",),
            key_holder="target",
            key_algorithm="EC-P256",
            groups=(Group(name="web-1", targets=("web-1",)),),
            waves=(("web-1",),),
            previous={"web-1": previous} if previous else {},
            grace_s=0,
            issuer_patience_s=1,
            target_patience_s=1,
            undo_patience_s=1,
            destroy_keys=destroy_keys,
        )
        opened = self.journal.open(
            kind="CertificateRenewal",
            subject="www",
            workflow_id="",
            run="",
            who="test",
            correlation_id="",
            state=plan.model_dump(mode="json"),
        )
        return opened.operation

    def step(self, operation: str, step: str, version: str | None) -> None:
        self.journal.begin(operation, step, Event.CERTIFICATE_SWITCHED, {})
        self.journal.finish(operation, step, Event.CERTIFICATE_SWITCHED, {}, {"fingerprint": version})

    def renewed(self, number: int) -> str:
        operation, version = self.operation(self.target.current()), renew(self.target, self.ca, number)
        self.target.switch(version, going(number))
        self.step(operation, "switch/web-1", version)
        self.journal.close(operation, "renewed", {})
        return version


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def place(engine: Engine, tmp_path: Path) -> Place:
    given = configured(tmp_path, ("true",))
    settings = CertificateSettings.model_validate(
        {"names": ["www.example.test"], "issuers": ["local"], "targets": [given.model_dump()]}
    )
    journal = SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")
    return Place(journal, FilesTarget(given), settings, tmp_path / "target", TestCa())


def test_before_the_first_operation_has_ended_nothing_is_expected(place: Place) -> None:
    assert place.drifted() is None
    place.operation(None)
    assert place.drifted() is None


def test_what_a_renewal_left_is_as_it_should_be_until_someone_changes_it(place: Place) -> None:
    first, second = place.renewed(1), place.renewed(2)
    assert place.drifted() is None
    (place.folder / "current").unlink()
    (place.folder / "current").symlink_to(f"versions/{first}")
    words = place.drifted() or ""
    assert words.startswith("web-1 was changed by someone else: ")
    assert first[:12] in words
    assert second[:12] in words
    (place.folder / "current").unlink()
    assert "no certificate is in use" in (place.drifted() or "")
    place.target.switch(second, going(3))
    assert place.drifted() is None


@pytest.mark.parametrize(
    ("file", "words"),
    [("fullchain.pem", "its certificate was changed"), ("nginx.conf", "its nginx.conf was changed")],
)
def test_a_file_that_was_edited_or_removed_is_named(place: Place, file: str, words: str) -> None:
    place.renewed(1)
    edited = place.folder / "current" / file
    edited.write_text("edited")
    assert place.drifted() == f"web-1 was changed by someone else: {words}"
    edited.unlink()
    assert place.drifted() == f"web-1 was changed by someone else: {words}"


def test_a_key_that_was_exchanged_is_named(place: Place) -> None:
    place.renewed(1)
    (place.folder / "current/key.pem").resolve().write_text("edited")
    assert place.drifted() == "web-1 was changed by someone else: its key was changed"


def test_after_an_undo_what_was_put_back_is_expected(place: Place) -> None:
    first = place.renewed(1)
    operation, second = place.operation(first), renew(place.target, place.ca, 2)
    place.target.switch(second, going(2))
    place.journal.begin(operation, "switch/web-1", Event.CERTIFICATE_SWITCHED, {})
    place.journal.undo(operation, "a test")
    place.target.switch_back(first, undoing(2))
    place.step(operation, "undo/web-1", first)
    place.journal.close(operation, "undone", {})
    assert place.drifted() is None
    place.target.switch(second, going(3))
    assert second[:12] in (place.drifted() or "")

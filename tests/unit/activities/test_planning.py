"""Planning needs one issuer whose roots are known; others may be away. A sweep looks at each certificate for itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.certificates.planning import PlanningActivities
from activities.certificates.sweeping import SweepingActivities
from schemas.certificates import CertificateSweepInput, LookAgain, SweepDecision
from schemas.errors import CaUnavailable, InvalidSettings, UnknownSubject
from schemas.settings.targets import TargetSettings
from tests.unit.policies.installations import installed, started
from tests.unit.policies.people import policy


def _anchors(error: Exception | None) -> Callable[[], bytes]:
    def anchors() -> bytes:
        if error is not None:
            raise error
        return b"roots"

    return anchors


def _planning(**issuers: Exception | None) -> PlanningActivities:
    def issuer(name: str) -> Any:
        return SimpleNamespace(trust_anchors=_anchors(issuers[name]))

    return PlanningActivities(SimpleNamespace(issuer=issuer))  # type: ignore[arg-type]  # it has what is used


AWAY = CaUnavailable("it is sealed")


@pytest.mark.parametrize("issuers", [{"one": AWAY, "two": None}, {"one": None, "two": AWAY}])
def test_an_issuer_that_is_away_keeps_nobody_from_asking_another(
    issuers: dict[str, Exception | None],
) -> None:
    _planning(**issuers)._refuse_unless_checkable(("one", "two"))


def test_where_all_are_away_nothing_is_planned_now() -> None:
    with pytest.raises(CaUnavailable, match="sealed"):
        _planning(one=AWAY, two=AWAY)._refuse_unless_checkable(("one", "two"))


def test_settings_that_can_not_work_are_not_passed_over() -> None:
    with pytest.raises(InvalidSettings, match="no file"):
        _planning(one=None, two=InvalidSettings("no file"))._refuse_unless_checkable(("one", "two"))


def test_what_nobody_foresaw_of_one_certificate_keeps_the_sweep_from_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    around = installed(tmp_path, policy())

    def target(settings: TargetSettings) -> Any:
        if settings.name == "web-2":
            raise KeyError("what no target should say")
        return around.target(settings)

    found = started().run(
        SweepingActivities(replace(around, target=target)).find_due, CertificateSweepInput()
    )
    assert {one.certificate for one in found.due} == {"web-1", "web-3", "pay-1", "other"}
    ((one,)) = found.unreadable
    assert (one.certificate, one.why) == ("web-2", "KeyError")
    assert "what no target should say" in caplog.text, "the log has it in full"


def test_what_is_looked_at_again_is_signed_anew_only_while_it_is_due(tmp_path: Path) -> None:
    """Whoever can write to Temporal can ask for a request, of whatever certificate."""
    signed: list[str] = []

    def by_service(kind: str, given: Any, on_behalf_of: str) -> None:
        assert (kind, on_behalf_of) == ("CertificateRenewal", "")
        signed.append(given.certificate)

    around = replace(installed(tmp_path, policy()), signed=by_service)
    sweeping = SweepingActivities(around)
    assert started().run(sweeping.look_again, LookAgain(certificate="web-1")).due
    assert signed == ["web-1"]
    with pytest.raises(UnknownSubject):
        started().run(sweeping.look_again, LookAgain(certificate="nowhere"))
    not_due = SweepDecision(certificate="web-1", due=False, why="")
    for decision in (not_due, not_due.model_copy(update={"due": True, "held_off": True})):
        sweeping._decide = lambda *_, one=decision: one  # type: ignore[method-assign]  # as it is found then
        assert started().run(sweeping.look_again, LookAgain(certificate="web-1")) == decision
    assert signed == ["web-1"]


@given(st.text())
@example("a page that explains it: " + "x" * 2048)
def test_why_a_certificate_is_due_is_the_reason_of_its_renewal_whatever_the_ca_wrote(why: str) -> None:
    reason = SweepDecision(certificate="www", due=True, why=why).renewal.reason
    assert len(reason) <= 500
    assert reason.isprintable()
    shown = " ".join(why.split())[:500]
    assert all(one in {sign, "?"} for sign, one in zip(shown, reason, strict=True))
    assert reason == shown or not shown.isprintable()

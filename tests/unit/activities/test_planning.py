"""Planning needs one issuer whose roots are known; others may be away."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from activities.certificates.planning import PlanningActivities
from schemas.errors import CaUnavailable, InvalidSettings


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

"""RFC 9773's `replaces` goes to the CA that issued what is replaced, and to no other that a failover asks."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from activities.certificates.issuing import IssuingActivities
from activities.certificates.planning import PlanningActivities
from clients.issuers import Issuer, Order, SuggestsRenewal
from schemas.errors import CaUnavailable
from tests.integration.workflows.conftest import FORCED, House, run

Asked = list[tuple[str, str]]


@dataclass
class HearsOfReplacement:
    """A CA that could be told what is replaced; all else it leaves to a real one."""

    ca: Issuer
    asked: Asked
    away: set[str] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ca, name)

    def renewal_info(self, _chain: bytes) -> None:
        return None

    def place_order(self, names: tuple[str, ...]) -> Order:
        return self._placed("order", names)

    def place_replacement(self, names: tuple[str, ...], _replaced: bytes) -> Order:
        return self._placed("replacement", names)

    def _placed(self, how: str, names: tuple[str, ...]) -> Order:
        self.asked.append((self.ca.name, how))
        if self.ca.name in self.away:
            raise CaUnavailable(f"{self.ca.name} is away")
        return self.ca.place_order(names)


def test_a_failover_drops_replaces(house: House) -> None:
    issuers = house.installation.document["issuers"]
    issuers["other"] = {**issuers["local"], "path": "other-ca"}
    house.certificates["www"]["issuers"] = ["local", "other"]
    around, asked = house.around(), Asked()

    def hearing(name: str) -> Issuer:
        return cast("Issuer", HearsOfReplacement(around.issuer(name), asked, away={"local"}))

    assert isinstance(hearing("other"), SuggestsRenewal)
    plan = run(PlanningActivities(around).plan_renewal, FORCED)
    issuing = IssuingActivities(replace(around, issuer=hearing))
    run(issuing.make_key, house.step(plan, "web-1"))
    with pytest.raises(CaUnavailable, match="local is away"):
        run(issuing.obtain_certificate, house.step(plan, "web-1", "local"))
    issued = run(issuing.obtain_certificate, house.step(plan, "web-1", "other"))
    assert issued.issuer == "other"
    assert asked == [("local", "replacement"), ("other", "order")]

"""The breakers of this process as metrics, each labelled with its dependency's name."""

from temporalio.common import MetricMeter

from clients.breakers.breaker import Breakers
from schemas.breakers import LEVELS


class BreakerMetrics:
    def __init__(self, meter: MetricMeter, breakers: Breakers) -> None:
        self._breakers = breakers
        self._state = meter.create_gauge(
            "redoubt_breaker_state", "0 closed, 1 half-open, 2 open: the dependency is left alone."
        )
        self._refused = meter.create_counter(
            "redoubt_breaker_refusals_total", "Calls that an open breaker refused."
        )
        self._told: dict[str, int] = {}

    def measure(self) -> None:
        for one in self._breakers.standings():
            labels = {"dependency": one.name}
            self._state.set(LEVELS[one.phase], labels)
            self._refused.add(one.refused - self._told.get(one.name, 0), labels)
            self._told[one.name] = one.refused

"""Checks of `doctor` on what the workers of this machine leave alone: their breakers, by their metrics."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cli.checks import Check, Concern
from schemas.breakers import LEVELS
from workers.wiring import Wiring

_TIMEOUT_S: Final = 5.0
_LARGEST: Final = 16 << 20
_METRIC: Final = "redoubt_breaker_state"


def breaker_checks(wiring: Wiring) -> Iterator[Check]:
    mend = "it is tried again by itself; see what the other findings say of it, and the worker's log"
    for pool, given in wiring.settings.pools.items():
        if given.metrics_port is not None:
            yield Check(f"dependencies, {pool}", partial(_left_alone, given.metrics_port), mend)


def _left_alone(port: int) -> str:
    try:
        states = _states(_scraped(port))
    except httpx.HTTPError:
        return f"no worker of this machine answers on port {port}"
    except ValueError:
        raise Concern(f"what answers on port {port} is no worker's metrics") from None
    alone = [f"{name} is {phase}" for name, phase in states.items() if phase != "closed"]
    if alone:
        raise Concern(f"left alone after failures: {', '.join(alone)}")
    return f"{len(states)} in use, none is left alone"


def _scraped(port: int) -> str:
    """On loopback, where metrics are served."""
    text = bytearray()
    with httpx.stream(
        "GET", f"http://127.0.0.1:{port}/metrics", timeout=_TIMEOUT_S, trust_env=False
    ) as answer:
        for part in answer.iter_bytes():
            text += part
            if len(text) > _LARGEST:
                raise ValueError("too long")
    return text.decode()


def _states(text: str) -> dict[str, str]:
    """Each dependency's name and phase. Raises `ValueError`."""
    phases = {level: str(phase) for phase, level in LEVELS.items()}
    return {
        sample.labels["dependency"]: phases.get(int(sample.value), "unknown")
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == _METRIC and "dependency" in sample.labels
    }

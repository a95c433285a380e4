"""The acceptance tests' fleets, and the seed of this run."""

import os
import random
import secrets

import pytest

from tests.acceptance.conftest import fleets, own_pebble

__all__ = ["fleets", "own_pebble"]

SEED = "REDOUBT_CHAOS_SEED"


@pytest.fixture
def dice() -> random.Random:
    """Random, and printed with a failure: the same seed in REDOUBT_CHAOS_SEED gives the same run."""
    seed = os.environ.get(SEED) or secrets.token_hex(4)
    print(f"{SEED}={seed}")  # noqa: T201 - pytest shows it with a failure
    return random.Random(seed)  # noqa: S311 - dice, and no secret

"""What the API refuses to start with."""

from pathlib import Path

import pytest

from cli.api import build
from schemas.errors import NotAuthorized
from schemas.settings import Settings
from store.sql.engine import connect
from store.sql.migrations import migrate
from workers.wiring import Wiring


def test_without_a_policy_it_does_not_start_and_says_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.sqlite"
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    wiring = Wiring(Settings.model_validate({"store": {"url": url}}))
    try:
        with pytest.raises(NotAuthorized, match="redoubt policy apply"):
            build(wiring)
    finally:
        wiring.engine().dispose()

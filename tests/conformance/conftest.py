"""Records on each database; and name servers, and a CA that asks them: for what is proved in the DNS, and over TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cli.dev.servers import Pebble, PebblePorts, pebble
from store.sql.engine import connect
from store.sql.migrations import migrate
from tests.servers import broker
from tests.servers.bind import PRIMARY, Bind
from tests.servers.starters import serve_webroot


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Records that are empty."""
    url = f"sqlite:///{tmp_path}/records.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = connect(url)
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def bind() -> Bind:
    about = broker.ask("bind")
    return Bind(int(about["port"]), int(about["secondary_port"]), about["secret"].encode())


@pytest.fixture(scope="session")
def asking_ca(bind: Bind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """One a process, so that its port for TLS-ALPN-01 is ours alone; it asks BIND for every name."""
    ca = pebble(
        tmp_path_factory.mktemp("asking") / "pebble",
        PebblePorts(),
        env={"PEBBLE_WFE_NONCEREJECT": "5", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_ALTERNATE_ROOTS": "1"},
        profiles={"classic": 7_776_000, "shortlived": 518_400},
        names_at=f"{PRIMARY}:{bind.port}",
    )
    web = serve_webroot(ca.webroot, ca.http_port)
    ca.start()
    yield ca
    ca.stop()
    web.shutdown()
    web.server_close()

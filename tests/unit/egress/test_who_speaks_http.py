"""Every module of ours that can make an HTTP request, and whose URLs it asks: none is forgotten.

A URL that came from outside goes through the egress client. Whoever adds a module here says where its URLs are from.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("activities", "api", "cli", "clients", "rules", "schemas", "store", "workers", "workflows")
SPEAKS = {"aiohttp", "hvac", "http.client", "httpx", "requests", "urllib.request", "urllib3"}

EGRESS = {
    "clients/egress/client.py",
    "clients/egress/connections.py",
    "clients/issuers/acme_network.py",  # names the types of the egress client's answers
    "cli/checks_answers.py",  # CAs by the egress client; the Web UI by the settings' own URL
}
OWN_URLS = {
    "cli/checks_breakers.py": "a worker's metrics on loopback",
    "cli/demo/api_calls.py": "our own API on loopback",
    "cli/demo/vault.py": "the demo's Vault on loopback",
    "cli/dev/servers.py": "Pebble's management port on loopback",
    "clients/secrets/vault.py": "VAULT_ADDR, no redirects",
    "clients/secrets/vault_login.py": "Vault of the settings, by the session",
    "clients/secrets/vault_session.py": "Vault of the settings, no redirects, bounded",
    "clients/issuers/vault_pki.py": "Vault of the settings, by the session",
    "clients/targets/kubernetes_secret.py": "the API server of the settings, no redirects, bounded",
    "clients/targets/vault_kv.py": "Vault of the settings, no redirects",
    "clients/tools/download.py": "the table of tools, each file by its hash",
    "workers/listening.py": "the runtime's metrics on loopback",
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def speakers() -> set[str]:
    def speaks(name: str) -> bool:
        return any(name == one or name.startswith(f"{one}.") for one in SPEAKS)

    return {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if any(speaks(name) for name in imported(file))
    }


def test_each_module_that_speaks_http_is_known_with_where_its_urls_come_from() -> None:
    assert speakers() == EGRESS | set(OWN_URLS)


@pytest.mark.parametrize("file", sorted(speakers()))
def test_no_redirect_is_followed_but_by_the_egress_client_and_the_download_of_pinned_tools(file: str) -> None:
    text = (ROOT / file).read_text()
    follows = "follow_redirects=True" in text or "allow_redirects=True" in text
    assert follows == (file == "clients/tools/download.py")
    if "hvac.Client(" in text and not file.startswith("cli/demo/"):  # hvac follows them unless told
        assert "allow_redirects=False" in text

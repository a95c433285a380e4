"""What people get wrong: it is refused at once, in words that say what to do, and never by quoting what was typed."""

from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue

from tests.acceptance.cases import Cases, assert_told, ended
from tests.acceptance.fleet import Fleet
from tests.acceptance.telling import assert_no_insides

CANARY = "canary-5e1f"

TYPED = {
    "unknown-name": (['{"certificate": "nobody"}'], "UnknownSubject", "'nobody'"),
    "malformed": ([f'{{"certificate": "{CANARY}'], "InvalidInput", "Invalid JSON"),
    "unknown-field": ([f'{{"certificate": "www", "pin": "{CANARY}"}}'], "InvalidInput", "pin: Extra inputs"),
    "wrong-type": (
        [f'{{"certificate": "www", "force": "{CANARY}"}}'],
        "InvalidInput",
        "force: Input should be",
    ),
    "wrong-shape": ([f'"{CANARY}"'], "InvalidInput", "should be an object"),
    "nothing": ([], "InvalidInput", "takes one JSON object"),
    "two": (['{"certificate": "www"}', f'"{CANARY}"'], "InvalidInput", "takes one JSON object"),
}
"""Typed into the Web UI's form, which sends it as it is."""


async def test_what_is_typed_wrong_ends_at_once(fleet: Fleet) -> None:
    cases = Cases(fleet)
    cases.build({"www": {}}, targets="a")
    fleet.worker()
    plain = await Client.connect(fleet.address, namespace=fleet.namespace)
    for name, (typed, _, _) in TYPED.items():
        args = [RawValue(Payload(metadata={"encoding": b"json/plain"}, data=one.encode())) for one in typed]
        await plain.start_workflow("CertificateRenewal", args=args, id=name, task_queue="certificates")
    client = await cases.client()
    for name, (_, code, words) in TYPED.items():
        end = await ended(client.get_workflow_handle(name))
        assert_told(end, code, words)
        assert CANARY not in end.words
    await assert_no_insides(cases)
    assert cases.shown("www") == [""]
    watched = fleet.redoubt("watch", "unknown-field")
    assert (watched.code, "pin: Extra inputs" in watched.out, CANARY in watched.out) == (2, True, False)


def test_the_command_refuses_before_it_starts_anything(fleet: Fleet) -> None:
    fleet.build(targets=("web-1",))
    for typed in (f'{{"certificate": "{CANARY}', f'{{"certificate": "www", "pin": "{CANARY}"}}', ""):
        refused = fleet.redoubt("start", "CertificateRenewal", "--input", "-", given=typed)
        assert (refused.code, refused.out) == (2, "")
        assert "Error: InvalidInput" in refused.err
        assert "`redoubt schema TYPE`" in refused.err
        assert not [word for word in (CANARY, "Traceback", ".py") if word in refused.err], refused.err
    listed = fleet.redoubt("list", "-o", "json")
    assert listed.json == []
    # A second renewal of one name, while no worker has taken up the first.
    fleet.start()
    second = fleet.redoubt("start", "CertificateRenewal", "--input", "-", given='{"certificate": "www"}')
    assert second.code == 1
    assert "Error: AlreadyRunning: certificate-renewal/www is running already" in second.err
    assert "`redoubt watch`" in second.err


def test_a_secret_in_the_place_of_a_reference_is_refused_by_all(fleet: Fleet) -> None:
    fleet.build(targets=("web-1",))
    secrets: list[tuple[dict[str, Any], str, str]] = [
        (fleet.document["issuers"]["acme"], "account_key", "issuers.acme.account_key"),
        (fleet.document["key_stores"]["keys"], "master_key", "key_stores.keys.master_key"),
    ]
    for settings, name, _ in secrets:
        settings[name] = CANARY
    fleet.write()
    for words in (("config", "check"), ("workers", "run", "certificates"), ("certs", "list"), ("list",)):
        refused = fleet.redoubt(*words)
        said = refused.out + refused.err
        assert refused.code == 2, (words, said)
        assert all(where in said for _, _, where in secrets), (words, said)
        assert CANARY not in said
        assert "file:" in said

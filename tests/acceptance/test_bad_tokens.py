"""A token's bad days: a wrong PIN is tried once, which locks no token; one that goes away is waited for."""

from pathlib import Path

from cli.dev.servers import Token
from tests.acceptance.cases import Cases, assert_no_secret, assert_told, ended
from tests.acceptance.fleet import Fleet
from tests.acceptance.telling import assert_no_insides
from tests.servers.counting import CKR_OK, CKR_PIN_INCORRECT, CountingModule


async def test_a_wrong_pin_and_a_token_that_goes_away(fleet: Fleet, softhsm: Token, tmp_path: Path) -> None:
    fleet.token = softhsm
    cases = Cases(fleet)
    cases.build({"lost": {}, "pin": {}}, targets="a")
    right = fleet.worker(name="right")
    before = await cases.issue_first()

    # The sessions are lost in the middle of the worker's life; the token comes back.
    tokens = Path(softhsm.env["SOFTHSM2_CONF"]).parent / "tokens"
    tokens.rename(tmp_path / "away")
    tokens.mkdir(mode=0o700)
    lost = await cases.start("lost")
    said = await cases.tried_again("lost")
    assert "The token of key store hsm" in said or "key store hsm" in said, said
    tokens.rmdir()
    (tmp_path / "away").rename(tokens)
    assert not (await ended(lost)).code
    assert cases.shown("lost") != before["lost"]
    assert all(cases.shown("lost"))
    right.stop()

    wrong = fleet.folder / "secrets/wrong-pin"
    wrong.touch(mode=0o600)
    wrong.write_text("not-this-pin-4711")
    fleet.document["key_stores"]["hsm"]["pin"] = f"file:{wrong}"
    counting = CountingModule(tmp_path, softhsm.module).build()
    fleet.document["key_stores"]["hsm"]["module"] = str(counting.path)
    fleet.env = counting.env
    fleet.write()
    refusing = fleet.worker(name="refusing")
    for _ in range(2):
        end = await ended(await cases.start("pin"))
        assert_told(end, "PinRejected", "Key store hsm: the PIN")
        assert cases.shown("pin") == before["pin"]
    await assert_no_insides(cases)
    assert counting.answers() == [CKR_PIN_INCORRECT]
    refusing.stop()

    fleet.document["key_stores"]["hsm"]["pin"] = softhsm.pin_ref
    fleet.write()
    fleet.worker(name="mended")
    mended = await cases.renew(["pin"])
    assert not mended["pin"].code, mended
    assert counting.answers() == [CKR_PIN_INCORRECT, CKR_OK]
    assert cases.shown("pin") != before["pin"]
    assert all(cases.shown("pin"))
    await assert_no_secret(cases)

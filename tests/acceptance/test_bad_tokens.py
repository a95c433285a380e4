"""A token's bad days: a wrong PIN is tried once and never locks the token; one that goes away is waited for."""

from pathlib import Path

import pkcs11
from pkcs11 import TokenFlag

from cli.dev.servers import Token
from tests.acceptance.cases import Cases, assert_no_secret, assert_told, ended
from tests.acceptance.fleet import Fleet
from tests.acceptance.telling import assert_no_insides


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
    fleet.write()
    refusing = fleet.worker(name="refusing")
    for _ in range(2):
        end = await ended(await cases.start("pin"))
        assert_told(end, "PinRejected", "Key store hsm: the PIN")
        assert cases.shown("pin") == before["pin"]
    await assert_no_insides(cases)
    refusing.stop()
    token = pkcs11.lib(str(softhsm.module)).get_token(token_label=softhsm.label)
    assert not token.flags & (TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED)
    with token.open(user_pin=softhsm.pin_file.read_text()):
        assert token.flags & TokenFlag.USER_PIN_INITIALIZED

    fleet.document["key_stores"]["hsm"]["pin"] = softhsm.pin_ref
    fleet.write()
    fleet.worker(name="mended")
    mended = await cases.renew(["pin"])
    assert not mended["pin"].code, mended
    assert cases.shown("pin") != before["pin"]
    assert all(cases.shown("pin"))
    await assert_no_secret(cases)

"""Gives the account at an ACME CA another key (RFC 8555, 7.3.5), so that a kill at any line does no harm.

- Whatever an earlier attempt did is found out first: a key that has the account already needs no change.
- No account is made here: two keys without an account are an error, and so is a new key that has another account.
- The change is done when the CA knows the account by the new key, and not when a request was answered.
"""

from acme import jws
from acme.client import ClientV2
from acme.errors import ConflictError
from acme.messages import RegistrationResource
from josepy.interfaces import JSONDeSerializable

from clients.issuers.acme_account import Account, AccountKey
from rules.points import reached
from schemas.errors import AccountRefused, CaUnavailable


def roll_over(account: Account, old: AccountKey, new: AccountKey) -> bool:
    """True if it was changed now, False if the account had the new key before. Raises `AccountRefused`."""
    has_new, has_old = account.existing(new), account.existing(old)
    if has_new is not None and has_old is not None:
        raise AccountRefused(f"At {account.name} the new key has an account of its own: make another key.")
    if has_new is not None:
        return False
    if has_old is None:
        raise AccountRefused(f"{account.name} knows an account by neither of the two keys.")
    reached("account.rolling")
    _change(account, old, new, has_old)
    reached("account.rolled")
    now = account.existing(new)
    if now is None or now.uri != has_old.uri:
        raise CaUnavailable(f"{account.name} does not know the account by its new key yet.")
    account.forget()
    return True


def _change(account: Account, old: AccountKey, new: AccountKey, has_old: RegistrationResource) -> None:
    client: ClientV2 = account.signing(old, has_old)
    with account.translating(again=True):
        where = client.directory["keyChange"]
        inner = _KeyChange({"account": has_old.uri, "oldKey": old.jwk.public_key().to_json()})
        proof = jws.JWS.sign(inner.json_dumps().encode(), new.jwk, new.algorithm, None, where)
        try:
            client._post(where, proof)  # noqa: SLF001 - the library has no key change
        except ConflictError as error:
            raise AccountRefused(
                f"At {account.name} the new key has an account of its own: make another key."
            ) from error


class _KeyChange(JSONDeSerializable):
    def __init__(self, fields: dict[str, object]) -> None:
        self._fields = fields

    def to_partial_json(self) -> dict[str, object]:
        return self._fields

    @classmethod
    def from_json(cls, jobj: dict[str, object]) -> "_KeyChange":
        return cls(jobj)

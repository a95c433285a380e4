"""Vault's PKI engine as an issuer: it signs requests (`sign`, never `issue`: the key stays where it was made).

- Vault keeps no orders: they are files here (`orders`), and what was issued lies beside its order.
- That a request is sent is kept before it is sent. An attempt that was killed after that looks among the certificates
  that Vault has stored for one of this key, and takes it, so nothing is issued twice. It can't know where the role has
  `no_store`, the policy forbids the list, or more than a thousand certificates are stored: then it is sent again.
- Vault keeps no reason for a revocation: ours stands in the evidence alone.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import hvac
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized

from clients.issuers import Order
from clients.issuers.orders import KeepsOrders, OrderFolder
from clients.issuers.requests import LeafKey, asked_key
from clients.issuers.roots import read_trust_file
from clients.secrets.vault_session import VaultSession
from rules.points import reached
from schemas.errors import CaRefused, CaUnavailable, DependencyUnavailable, InvalidSettings
from schemas.revocations import RevocationReason
from schemas.settings import issuers

T = TypeVar("T")

_MOST_LOOKED_AT = 1000
_SKEW = timedelta(minutes=5)
_LONGEST_COMMON_NAME = 64
_LISTS = ("crl", "crl/pem", "crl/delta", "crl/delta/pem")


class VaultPki(KeepsOrders):
    """The port `Issuer`. It asks for no proof: who may use the role is Vault's policy."""

    def __init__(self, name: str, given: issuers.VaultPkiIssuer, session: VaultSession) -> None:
        self.name = name
        self._given = given
        self._session = session
        self._orders = OrderFolder(name, "vault", Path(given.path))

    # --- the port -------------------------------------------------------------------------------------

    def finalize(self, url: str, csr: bytes, beat: Callable[[], None]) -> Order:
        def issue(names: tuple[str, ...]) -> bytes:
            key = asked_key(self.name, csr, names)
            if not self._given.trust_file:
                # Here and nowhere else: who only looks (`redoubt doctor`) may be another user, and writes nothing.
                self._orders.keep_roots(self._roots())
            return self._found(url, key, beat) or self._signed(url, csr, names)

        return self._finalized(url, beat, issue)

    def revoke(self, chain: bytes, reason: RevocationReason) -> None:  # noqa: ARG002 - Vault takes no reason
        try:
            leaf = x509.load_pem_x509_certificates(chain)[0].public_bytes(Encoding.PEM).decode()
        except ValueError as error:
            raise CaRefused(f"The certificate that {self.name} shall revoke can't be read.") from error
        # By the certificate, so that one of a role with `no_store` can be revoked too; a second time is no error.
        self._ask(lambda client: client.adapter.post(self._api("revoke"), json={"certificate": leaf}))
        reached("revocation.answered")

    def trust_anchors(self) -> bytes:
        if self._given.trust_file:
            return read_trust_file(self.name, self._given.trust_file)
        try:
            return self._roots()
        except CaUnavailable:
            # A Vault that is sealed for an hour has the root that it had: what it issued can still be verified.
            kept = self._orders.kept_roots()
            if kept is None:
                raise
            return kept

    def _roots(self) -> bytes:
        roots = [one for one in self._issuer_chain() if one.issuer == one.subject]
        if not roots:
            raise InvalidSettings(f"Vault's chain has no root: name it as issuers.{self.name}.trust_file.")
        return b"".join(one.public_bytes(Encoding.PEM) for one in roots)

    def crl_at(self, url: str) -> bytes | None:
        """The list at one of this engine's own addresses, over its verified TLS; None for any other address."""
        own = f"{self._session.address}{self._api('')}"
        path = url.removeprefix(own)
        if not url.startswith(own) or path not in _LISTS:
            return None
        content: bytes = self._ask(lambda client: client.adapter.get(self._api(path)), openly=True).content
        return content

    # --- asking ---------------------------------------------------------------------------------------

    def _signed(self, url: str, csr: bytes, names: tuple[str, ...]) -> bytes:
        request = x509.load_der_x509_csr(csr).public_bytes(Encoding.PEM).decode()
        body: dict[str, Any] = {
            "csr": request,
            "common_name": next((one for one in names if len(one) <= _LONGEST_COMMON_NAME), ""),
            "exclude_cn_from_sans": True,
            "format": "pem",
        }
        if self._given.valid_days is not None:
            body["ttl"] = f"{self._given.valid_days * 24}h"
        if self._orders.read(url, "sent") is None:
            self._orders.keep(url, "sent", json.dumps({"at": datetime.now(UTC).isoformat()}).encode())
        reached("request.sending")
        answer = self._ask(
            lambda client: client.adapter.post(self._api(f"sign/{self._given.role}"), json=body)
        )
        reached("request.signed")
        data = answer["data"]
        return self._chain(data["certificate"], data.get("ca_chain") or [data["issuing_ca"]])

    def _found(self, url: str, key: LeafKey, beat: Callable[[], None]) -> bytes | None:
        """What an earlier attempt had signed, if one was begun and Vault can tell."""
        sent = self._orders.read(url, "sent")
        if sent is None:
            return None
        since = datetime.fromisoformat(json.loads(sent)["at"]) - _SKEW
        for serial in self._serials()[:_MOST_LOOKED_AT]:
            beat()
            found = self._stored(serial)
            leaf = x509.load_pem_x509_certificate(found["certificate"].encode())
            if (
                leaf.public_key() == key
                and leaf.not_valid_before_utc >= since
                and not found["revocation_time"]
            ):
                chain = [one.public_bytes(Encoding.PEM).decode() for one in self._issuer_chain()]
                return self._chain(found["certificate"], chain)
        return None

    def _stored(self, serial: str) -> dict[str, Any]:
        data: dict[str, Any] = self._ask(lambda client: client.adapter.get(self._api(f"cert/{serial}")))[
            "data"
        ]
        return data

    def _serials(self) -> list[str]:
        try:
            answer = self._session.ask(lambda client: client.adapter.list(self._api("certs")))
        except (Forbidden, InvalidPath):
            return []  # not allowed to look, or nothing is stored
        except DependencyUnavailable as error:
            raise CaUnavailable(error.in_full, retry_after_s=error.retry_after_s) from error
        return list(answer["data"]["keys"])

    def _issuer_chain(self) -> list[x509.Certificate]:
        path = self._api(f"issuer/{self._given.issuer}/json")
        answer = self._ask(lambda client: client.adapter.get(path), openly=True)
        given = answer["data"].get("ca_chain") or [answer["data"]["certificate"]]
        return x509.load_pem_x509_certificates("\n".join(given).encode())

    @staticmethod
    def _chain(leaf: str, above: list[str]) -> bytes:
        """Leaf first, without the root: whoever verifies has that."""
        certificates = x509.load_pem_x509_certificates("\n".join([leaf, *above]).encode())
        sent = [certificates[0], *(one for one in certificates[1:] if one.issuer != one.subject)]
        return b"".join(one.public_bytes(Encoding.PEM) for one in sent)

    def _api(self, path: str) -> str:
        return f"/v1/{self._given.mount}/{path}"

    def _ask(self, question: Callable[[hvac.Client], T], *, openly: bool = False) -> T:
        """`openly`: of what Vault tells everyone, without a log-in."""
        try:
            return self._session.ask_openly(question) if openly else self._session.ask(question)
        except DependencyUnavailable as error:
            raise CaUnavailable(error.in_full, retry_after_s=error.retry_after_s) from error
        except InvalidRequest as error:
            raise CaRefused(f"{self.name}: {_words(error)}.") from error
        except InvalidPath as error:
            raise CaRefused(f"{self.name}: Vault has no such engine, role or issuer.") from error
        except (Forbidden, Unauthorized) as error:
            raise CaRefused(f"{self.name}: Vault's policy does not allow this process to do that.") from error


def _words(error: InvalidRequest) -> str:
    """What Vault complains of, on one line and bounded."""
    said = error.errors if isinstance(error.errors, list) else [str(error)]
    return " ".join("; ".join(str(one) for one in said).split())[:300].rstrip(".")

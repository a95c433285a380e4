"""HTTP as we let an ACME CA speak to us: bounded, verified, patient with nonces, and with errors of ours.

The `acme` library signs and parses; this adds what it lacks: requests go through the egress client, which caps size
and time and goes to no address inside; a refused nonce is tried again as often as needed (RFC 8555, 6.5: the server
has not acted on it); and what the CA says becomes an error of the catalogue.
"""

import email.utils
import time
from typing import Any, Final

import requests
from acme import messages
from acme.client import ClientNetwork
from josepy.errors import Error as JoseError
from josepy.jwa import JWASignature
from josepy.jwk import JWK

from clients.egress import Request
from clients.egress.client import EgressClient
from schemas.errors import (
    AccountRefused,
    CaRateLimited,
    CaRefused,
    CaUnavailable,
    OrderInvalid,
    OrderLost,
    RedoubtError,
)

LARGEST_ANSWER: Final = 1 << 20
TIMEOUT_S: Final = 20
NONCE_TRIES: Final = 30
LONGEST_WAIT_S: Final = 3600.0
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500

_CONTENT_TYPES: Final = (
    "application/json",
    "application/pem-certificate-chain",
    "application/problem+json",
)
"""What RFC 8555 has a CA answer with."""
_ACCOUNT = {
    "accountDoesNotExist",
    "badPublicKey",
    "badSignatureAlgorithm",
    "externalAccountRequired",
    "unauthorized",
    "userActionRequired",
}
_LATER = {"serverInternal", "badNonce"}
_ORDER = {"connection", "dns", "incorrectResponse", "tls", "caa"}


class Network(ClientNetwork):
    def __init__(self, name: str, key: JWK, algorithm: JWASignature, egress: EgressClient) -> None:
        super().__init__(key, alg=algorithm, user_agent="redoubt", timeout=TIMEOUT_S)
        self.name = name
        self.status = 0
        self._egress = egress

    def _send_request(self, method: str, url: str, *_: Any, **kwargs: Any) -> requests.Response:
        """Every URL but the directory's was given by the CA: it goes through the egress client."""
        data = kwargs.get("data")
        request = Request(
            url,
            self.name,
            method,  # type: ignore[arg-type]  # the library uses GET, HEAD and POST
            {**kwargs.get("headers", {}), "User-Agent": self.user_agent},
            data.encode() if isinstance(data, str) else data,
            content_types=_CONTENT_TYPES,
            largest=LARGEST_ANSWER,
            within_s=TIMEOUT_S,
        )
        self.status = 0
        try:
            response = self._egress.exchange(request)
        except requests.RequestException as error:
            raise CaUnavailable(f"{self.name} could not be reached ({type(error).__name__}).") from error
        self.status = response.status_code
        if self.status == _TOO_MANY or self.status >= _SERVER_ERROR:
            said = _problem_of(response)
            raise (CaRateLimited if self.status == _TOO_MANY else CaUnavailable)(
                f"{self.name} answered with status {self.status}{said and f': {said}'}.",
                retry_after_s=retry_after(response),
            )
        return response

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for _ in range(NONCE_TRIES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        raise CaUnavailable(f"{self.name} refused {NONCE_TRIES} nonces in a row.")


def retry_after(response: requests.Response, longest_s: float = LONGEST_WAIT_S) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3), bounded; None if the CA does not say."""
    said = response.headers.get("Retry-After", "")
    if said.isascii() and said.isdigit():
        return min(float(said), longest_s)
    try:
        until = email.utils.parsedate_to_datetime(said).timestamp()
    except (TypeError, ValueError):
        return None
    return max(0.0, min(until - time.time(), longest_s))


def translated(name: str, error: Exception, status: int) -> RedoubtError:
    """What the CA's problem document (RFC 8555, 6.7), or the library's own complaint, means for us."""
    if status == _NOT_FOUND and code_of(error) != "accountDoesNotExist":
        return OrderLost(f"{name} no longer knows what it was asked about.")
    if not isinstance(error, messages.Error):
        return CaUnavailable(f"{name} sent an answer that is not ACME's ({type(error).__name__}).")
    code, said = code_of(error), in_words(error)
    if code in _ACCOUNT:
        return AccountRefused(f"{name} refuses the account: {said}.")
    if code == "rateLimited":
        return CaRateLimited(f"{name}: {said}.")
    if code in _LATER:
        return CaUnavailable(f"{name}: {said}.")
    return (OrderInvalid if code in _ORDER else CaRefused)(f"{name}: {said}.")


def code_of(error: object) -> str:
    """The name of the ACME error (RFC 8555, 6.7); empty for anything else. The library knows but some of them."""
    given: object = error.typ if isinstance(error, messages.Error) else None
    said = given if isinstance(given, str) else ""  # a CA may send anything
    return said.removeprefix(messages.ERROR_PREFIX) if said.startswith(messages.ERROR_PREFIX) else ""


def _problem_of(response: requests.Response) -> str:
    try:
        return in_words(messages.Error.from_json(response.json()))
    except (JoseError, ValueError, AttributeError):
        return ""


def in_words(error: messages.Error) -> str:
    parts = [error.detail or error.title or error.typ, *(in_words(one) for one in error.subproblems or ())]
    return "; ".join(str(part).strip().rstrip(".") for part in parts if part)[:500]

"""What a CA suggests about when to renew one certificate (RFC 9773)."""

from pydantic import AwareDatetime, Field

from schemas.contract import Contract


class RenewalWindow(Contract):
    start: AwareDatetime
    end: AwareDatetime
    """After `start`."""
    explanation_url: str = Field(default="", max_length=2048)
    """A page of the CA's that says why; empty if there is none."""

"""What an approver reads: everything that they sign, and nothing that somebody else has made look like it."""

import pytest
from pydantic import ValidationError

from cli.approvals import words
from rules.approvals import digest, tally
from schemas.approvals import Approval, ApprovalRequest
from schemas.certificates import CertificateRenewalInput
from schemas.principals import UNKNOWN, Principal, Shown
from schemas.revocations import CertificateRevocationInput
from schemas.runs import Steer
from tests.unit.approvals.making import AT, OLGA, request, rule

SERVICE = Principal(name="service:certificates", shown=Shown.SERVICE)
FORGED = (
    "routine\nDigest     0000",
    "routine\r\n  names              harmless.example.com",
    "routine\u2028Asked by   anna",
    "routine\x1b[1A\x1b[2K",
    "routine\u202emoc.live",
    "\u2067routine\u2069",
    "rou\u200btine",
    "routine\x85Needs      1 approvals",
)


def asked(about: ApprovalRequest) -> Approval:
    return Approval(digest=digest(about), request=about, tally=tally(about, (), AT))


@pytest.mark.parametrize("text", FORGED)
def test_no_text_of_a_plan_makes_a_line_of_its_own_or_turns_one(text: str) -> None:
    """Plans hold words of CAs and of settings too: what stands there is shown, and spelt out."""
    honest = request(rule(("anna", "ben")))
    for plan in ({"reason": text}, {"names": ["www.example.com", text]}, {"waves": [[text]]}, {text: "x"}):
        told = list(words(asked(honest.model_copy(update={"plan": plan}))))
        assert len(told) == len(list(words(asked(honest.model_copy(update={"plan": {"reason": "x"}})))))
        assert all(line.isprintable() for line in told)
        assert sum(line.startswith("Digest ") for line in told) == 1


@pytest.mark.parametrize("text", FORGED)
def test_nobody_gives_a_reason_that_is_more_than_one_plain_line(text: str) -> None:
    fingerprint = "a" * 64
    for make in (
        lambda: CertificateRenewalInput(certificate="www", reason=text),
        lambda: CertificateRevocationInput.model_validate(
            {"certificate": "www", "fingerprint": fingerprint, "reason": "superseded", "why": text}
        ),
        lambda: Steer(reason=text),
    ):
        with pytest.raises(ValidationError, match="on one line"):
            make()


@pytest.mark.parametrize(
    ("requester", "for_whom", "told"),
    [
        (OLGA, None, "olga (signing-key)"),
        (UNKNOWN, None, "somebody unknown"),
        (SERVICE, OLGA, "service:certificates (service), for olga (signing-key)"),
        (SERVICE, UNKNOWN, "service:certificates (service), for somebody unknown"),
    ],
)
def test_it_says_who_has_asked_and_for_whom(
    requester: Principal, for_whom: Principal | None, told: str
) -> None:
    about = request(rule(("anna", "ben", "cleo")), requester=requester, on_behalf_of=for_whom)
    assert f"Asked by   {told}, at 2026-11-21 10:00:00 UTC" in list(words(asked(about)))

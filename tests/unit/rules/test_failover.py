"""Another issuer is asked for what lies with the CA, and for nothing else."""

import pytest

from rules.failover import ISSUER_FAILED, another_may_help
from schemas.errors import CATALOGUE, Category

WHAT_IT_SAYS = {"CaaForbids", "EgressRefused"}
"""Checks of what a CA, or the DNS about it, says: another CA says something else."""


def test_every_code_is_of_the_catalogue_and_lies_with_a_dependency() -> None:
    assert WHAT_IT_SAYS <= ISSUER_FAILED
    for code in ISSUER_FAILED:
        wanted = Category.CHECK if code in WHAT_IT_SAYS else Category.DEPENDENCY
        assert CATALOGUE[code].category is wanted


@pytest.mark.parametrize(
    "code", ["CertificateRejected", "Aborted", "PinRejected", "EvidenceUnavailable", "Internal"]
)
def test_what_would_be_just_as_wrong_elsewhere_fails_the_renewal(code: str) -> None:
    assert code in CATALOGUE
    assert not another_may_help(code)

"""A run of a renewal or a revocation that somebody has started under an ID of their own begins nothing."""

from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.running import refuse_another_id, this_run
from schemas.certificates import CertificateRenewalInput
from schemas.errors import InvalidInput
from schemas.revocations import CertificateRevocationInput, RevocationReason


def under(workflow_id: str) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow_id, workflow_run_id="1")
    return environment


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("CertificateRenewal", CertificateRenewalInput(certificate="www")),
        (
            "CertificateRevocation",
            CertificateRevocationInput(certificate="www", reason=RevocationReason.SUPERSEDED),
        ),
    ],
)
def test_only_the_id_of_the_subject_is_taken(kind: str, given: Any) -> None:
    own = f"certificate-{kind.removeprefix('Certificate').lower()}/www"
    under(own).run(refuse_another_id, kind, given)
    assert under(own).run(this_run) == f"{own}/1"
    for other in ("mine", own.replace("www", "edge"), f"{own}/2"):
        with pytest.raises(InvalidInput, match=f"of www is started under the workflow ID '{own}'"):
            under(other).run(refuse_another_id, kind, given)

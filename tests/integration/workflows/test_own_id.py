"""What is started under an ID that is not its subject's, as a person can type one into the Web UI, begins nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from activities.certificates.planning import PlanningActivities
from activities.certificates.revoking import RevokingActivities
from activities.certificates.steps import Surroundings
from schemas.errors import InvalidInput
from schemas.revocations import CertificateRevocationInput, RevocationReason
from tests.integration.workflows.conftest import FORCED, House, run

REVOKED = CertificateRevocationInput(certificate="www", reason=RevocationReason.SUPERSEDED)


@pytest.mark.parametrize(
    ("step", "given", "own"),
    [
        (lambda around: PlanningActivities(around).plan_renewal, FORCED, "certificate-renewal/www"),
        (lambda around: RevokingActivities(around).plan_revocation, REVOKED, "certificate-revocation/www"),
    ],
)
def test_only_under_its_own_id_a_run_opens_an_operation(
    house: House, step: Callable[[Surroundings], Callable[[Any], Any]], given: Any, own: str
) -> None:
    around = house.around()
    kind = type(given).__name__.removesuffix("Input")
    for other in ("mine", own.replace("www", "edge"), f"{own}/2"):
        with pytest.raises(InvalidInput, match=f"A {kind} of www is started under the workflow ID '{own}'"):
            run(step(around), given, other)
    assert not around.journal.unfinished(kind)
    run(step(around), given, own)
    (opened,) = around.journal.unfinished(kind)
    assert opened.workflow_id == own

"""Revocation lists of our own issuers are made anew in time: nobody else does it, and one that ended answers nothing.

A list that can't be made now keeps nobody from renewing: it is told in the log, and tried again at the next sweep.
"""

import structlog

from activities.certificates.steps import Surroundings
from clients.issuers import RefreshesLists
from schemas.errors import RedoubtError

_log = structlog.get_logger("activities.certificates")


def refresh_lists(around: Surroundings) -> None:
    for name in around.list_keepers:
        try:
            issuer = around.issuer(name)
            if isinstance(issuer, RefreshesLists):
                issuer.refresh_lists()
        except RedoubtError as error:
            _log.warning("revocation list not refreshed", issuer=name, code=error.code, detail=error.in_full)

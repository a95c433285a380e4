"""How a target is reached that the settings have no more: by the operation's record, and only if it is ours."""

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from temporalio.testing import ActivityEnvironment

from activities.certificates.left_open import left_open
from activities.certificates.places import Places
from activities.certificates.switching import SwitchingActivities
from clients.seals.ring import RingSeals
from clients.temporal.keyring import PayloadKey, PayloadRefused
from schemas.certificates import RecordedPlaces, RenewalPlan, StepInput
from schemas.errors import KeyStoreUnavailable, TargetUnreachable
from schemas.settings.certificates import CertificateSettings
from store import Operation, Step
from tests.integration.workflows.stand_ins import TARGETS, plan


class Ring:
    """Two versions of a key; the second encrypts."""

    scope = "redoubt"
    keys: ClassVar = {f"payload-codec/{number}": bytes([number]) * 32 for number in (1, 2)}

    def __init__(self, newest: str = "payload-codec/2") -> None:
        self._newest = newest

    def current(self) -> PayloadKey:
        return self.key(self._newest)

    def key(self, key_id: str) -> PayloadKey:
        if key_id not in self.keys:
            raise PayloadRefused("no such key")
        return PayloadKey(key_id, self.keys[key_id])


def certificate(*names: str, folder: str = "/tls") -> CertificateSettings:
    targets = [
        {"name": name, "directory": f"{folder}/{name}", "reload": ["true"], "verify": {"host": "h"}}
        for name in names
    ]
    return CertificateSettings.model_validate(
        {"names": ["www.example.com"], "issuers": ["one"], "targets": targets}
    )


WWW = certificate(*TARGETS)


def recorded(name: str = "www") -> RenewalPlan:
    return plan(places=Places({}, RingSeals(Ring)).recorded(name, WWW))


def test_the_settings_come_first_and_the_record_where_they_have_it_no_more() -> None:
    moved = certificate("web-2", folder="/moved")
    places = Places({"www": moved}, RingSeals(Ring))
    assert places.all_known(recorded()) == {
        "web-1": WWW.targets[0],
        "web-2": moved.targets[0],
        "web-3": WWW.targets[2],
    }
    assert places.named("www", "web-1") is None


def test_a_record_is_good_after_the_keys_were_rotated_and_read_back() -> None:
    old = plan(places=Places({}, RingSeals(lambda: Ring("payload-codec/1"))).recorded("www", WWW))
    read = RenewalPlan.model_validate_json(old.model_dump_json())
    assert Places({}, RingSeals(Ring)).known(read, "web-1") == WWW.targets[0]


def _forged(**change: Any) -> RecordedPlaces:
    good = recorded().places
    targets = {**good.targets, "web-1": {**good.targets["web-1"], **change}}
    return good.model_copy(update={"targets": targets})


@pytest.mark.parametrize(
    "places",
    [
        _forged(reload=["rm", "-rf", "/"]),
        recorded("another").places,
        recorded().places.model_copy(update={"seal": ""}),
        recorded().places.model_copy(update={"seal": f"payload-codec/1:{recorded().places.seal[-64:]}"}),
        RecordedPlaces(),
    ],
)
def test_what_this_installation_has_not_sealed_is_no_place(places: RecordedPlaces) -> None:
    assert Places({}, RingSeals(Ring)).known(plan(places=places), "web-1") is None


def test_what_another_version_wrote_in_another_shape_is_no_place() -> None:
    seals = RingSeals(Ring)
    strange = {"web-1": {"kind": "carrier-pigeon"}}
    ours = Places({}, seals).recorded("www", WWW).model_copy(update={"targets": strange})
    content = b'{"certificate":"www","targets":{"web-1":{"kind":"carrier-pigeon"}}}'
    sealed = ours.model_copy(update={"seal": seals.seal(content)})
    assert seals.genuine(content, sealed.seal)
    assert Places({}, seals).known(plan(places=sealed), "web-1") is None


def test_a_key_that_can_not_be_had_is_waited_for() -> None:
    with pytest.raises(KeyStoreUnavailable, match="no such key"):
        RingSeals(Ring).genuine(b"", "payload-codec/9:00")
    with pytest.raises(KeyStoreUnavailable):
        RingSeals(lambda: Ring("payload-codec/9")).seal(b"")


def _operation(kind: str = "CertificateRenewal", subject: str = "www", **state: Any) -> Operation:
    return Operation(
        operation="op-1",
        kind=kind,
        subject=subject,
        workflow_id="",
        correlation_id="",
        state={**plan().model_dump(mode="json"), **state},
        undoing=True,
        closed=None,
    )


def test_a_target_that_nothing_says_how_to_reach_is_not_told_to_be_back() -> None:
    begun = Step(operation="op-1", step="undo/web-1", result=None, first=True)
    journal = SimpleNamespace(operation=lambda _: _operation(), begin=lambda *_: begun)
    agreed = SimpleNamespace(confirm=lambda *_: {})
    around: Any = SimpleNamespace(
        journal=journal,
        inventory={},
        seals=RingSeals(Ring),
        gate=agreed,
        approvals=agreed,
        room=SimpleNamespace(look=lambda *_: None, take=lambda *_: None),
        distrusted=frozenset(),
    )
    step = StepInput(operation="op-1", certificate="www", group="shared", target="web-1")
    with pytest.raises(TargetUnreachable, match="Put it back into the settings") as refused:
        ActivityEnvironment().run(SwitchingActivities(around).restore, step)
    assert "web-1 of www is not put back" in refused.value.detail


@pytest.mark.parametrize(
    ("operation", "inventory", "missing", "to_do"),
    [
        (_operation(), {}, ["certificate www"], "the next sweep"),
        (_operation(), {"www": certificate("web-2")}, ["target web-1, web-3"], "the next sweep"),
        (_operation("CertificateRevocation"), {}, ["certificate www"], "put the certificate back"),
        (_operation("CertificateRevocation"), {"www": certificate("web-2")}, [], ""),
        (_operation(), {"www": WWW}, [], ""),
        (_operation(waves=[]), {"www": certificate("web-2")}, [], ""),
    ],
)
def test_what_is_open_and_named_no_more_is_told_with_what_to_do(
    operation: Operation, inventory: dict[str, CertificateSettings], missing: list[str], to_do: str
) -> None:
    def unfinished(kind: str) -> tuple[Operation, ...]:
        return (operation,) if kind == operation.kind else ()

    journal: Any = SimpleNamespace(unfinished=unfinished)
    found = left_open(journal, inventory)
    assert [one.missing for one in found] == missing
    assert all(to_do in one.what_to_do and one.missing in one.words for one in found)

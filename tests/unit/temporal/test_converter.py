"""What people type into a start form, judged."""

from typing import ClassVar, Literal

import pytest
from pydantic import Field
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from clients.temporal.converter import RedoubtPayloadConverter
from schemas.certificates import CertificateRenewalInput, StepInput
from schemas.contract import Contract, WorkflowInput

CANARY = "canary-5e1d"


class Box(Contract):
    kind: Literal["box"]
    size: int


class Bag(Contract):
    kind: Literal["bag"]
    colour: str


class Packing(WorkflowInput):
    things: tuple[Box | Bag, ...] = ()
    labels: dict[str, int] = Field(default_factory=dict)

    example: ClassVar[dict[str, object]] = {}


def json(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


def refused(payloads: list[Payload], hints: list[type] | None) -> ApplicationError:
    with pytest.raises(ApplicationError) as error:
        RedoubtPayloadConverter().from_payloads(payloads, hints)
    assert error.value.type == "InvalidInput"
    assert error.value.non_retryable
    assert error.value.__cause__ is None
    assert CANARY not in str(error.value)
    assert CANARY not in repr(error.value.details)
    assert "redoubt schema" in str(error.value)
    return error.value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'{{"certificate": "{CANARY}"', "Invalid JSON"),
        (f'{{"certificate": "www", "pin": "{CANARY}"}}', "pin: Extra inputs are not permitted"),
        (f'{{"certificate": ["{CANARY}"]}}', "certificate: Input should be a valid string"),
        (f'{{"certificate": "www", "force": "{CANARY}"}}', "force: Input should be a valid boolean"),
        (f'{{"certificate": "{CANARY}!"}}', "certificate: String should match pattern"),
        (f'"{CANARY}"', "the input: Input should be an object"),
        ("null", "the input"),
        ("", "Invalid JSON"),
        ("{}", "certificate: Field required"),
        (f'{{"certificate": "www", "{CANARY}": 1}}', "(a name that is not shown)"),
    ],
)
def test_a_wrong_input_is_refused_with_the_place_and_the_reason_only(text: str, told: str) -> None:
    assert told in str(refused([json(text)], [CertificateRenewalInput]))


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata={"encoding": b"binary/null"}),
        Payload(metadata={"encoding": b"binary/plain"}, data=CANARY.encode()),
        Payload(metadata={"encoding": b"vendor/odd"}, data=CANARY.encode()),
        Payload(data=CANARY.encode()),
        Payload(metadata={"encoding": b"json/plain"}, data=b"\xff" + CANARY.encode()),
        Payload(metadata={"encoding": b"json/protobuf", "messageType": b"x"}, data=CANARY.encode()),
    ],
)
def test_an_input_that_is_no_json_is_refused(payload: Payload) -> None:
    refused([payload], [CertificateRenewalInput])


def test_a_union_tells_no_value() -> None:
    text = f'{{"things": [{{"kind": "{CANARY}", "size": "{CANARY}"}}], "labels": {{"{CANARY}": "{CANARY}"}}}}'
    refused([json(text)], [Packing])


def test_only_the_first_reasons_are_told() -> None:
    things = ", ".join(f'{{"kind": "box", "size": "{CANARY}"}}' for _ in range(30))
    assert "more" in str(refused([json(f'{{"things": [{things}]}}')], [Packing]))


def test_arguments_that_nobody_expects_are_refused_when_they_are_no_json() -> None:
    refused([json("{}"), json(f"{{{CANARY}")], None)


def test_what_an_activity_returns_is_not_ours_to_fail_a_run_over() -> None:
    with pytest.raises(ValueError, match="operation") as error:
        RedoubtPayloadConverter().from_payloads([json("{}")], [StepInput])
    assert not isinstance(error.value, ApplicationError)


def test_right_inputs_come_through() -> None:
    given = CertificateRenewalInput(certificate="www", force=True)
    converter = RedoubtPayloadConverter()
    assert converter.from_payloads(converter.to_payloads([given]), [CertificateRenewalInput]) == [given]
    assert converter.from_payloads([json('{"a": 1}')], None) == [{"a": 1}]

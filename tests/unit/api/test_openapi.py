"""The API's description, as a user takes it: each example of a request is sent, and each answer is as it says."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import jsonschema
import pytest

from activities.policies import Held
from schemas.catalogue import WORKFLOW_TYPES
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from tests.unit.api.test_api import KEYS, House

POLICY = Policy(
    installation="test",
    version=1,
    principals={"olga": PrincipalEntry(api_keys=(KEYS["olga"][1],))},
    grants=(
        Grant(role=Role.OPERATOR, principals=("olga",)),
        Grant(role=Role.APPROVER, principals=("olga",)),
    ),
)


class Example(NamedTuple):
    """One request that the description shows."""

    method: str
    path: str
    body: Any
    operation: dict[str, Any]

    async def sent(self, house: House, who: str | None) -> httpx.Response:
        more = {} if self.body is None else {"json": self.body}
        return await house.ask(self.method.upper(), self.path, who, **more)


@pytest.fixture
def house() -> House:
    return House(Held(POLICY, "a" * 64))


async def description(house: House) -> dict[str, Any]:
    answer = await house.ask("GET", "/v1/openapi.json")
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


def examples(described: dict[str, Any]) -> Iterator[Example]:
    for path, item in described["paths"].items():
        for method, operation in item.items():
            for body, update in bodies(operation):
                where = path
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "path":
                        value = parameter["example"] if parameter["name"] != "name" else update
                        where = where.replace(f"{{{parameter['name']}}}", value)
                yield Example(method, where, body, operation)


def bodies(operation: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Each body, and the update that it is for: the name of an example says which."""
    if "requestBody" not in operation:
        yield None, ""
        return
    for name, example in operation["requestBody"]["content"]["application/json"]["examples"].items():
        for update in name.split(", "):
            yield example["value"], update


def held(instance: Any, schema: dict[str, Any], described: dict[str, Any]) -> None:
    jsonschema.validate(instance, {**schema, "components": described["components"]})


async def test_each_example_is_sent_and_answered_as_the_description_says(house: House) -> None:
    described, types, sent = await description(house), set(), 0
    for one in examples(described):
        answer = await one.sent(house, "olga")
        documented = one.operation["responses"]
        assert str(answer.status_code) in documented, (one.method, one.path, answer.text)
        assert 200 <= answer.status_code < 300, (one.method, one.path, answer.text)
        content = documented[str(answer.status_code)].get("content", {})
        if one.path.startswith("/v1/"):
            held(answer.json(), content["application/json"]["schema"], described)
        if one.method == "post" and one.path == "/v1/runs":
            types.add(one.body["type"])
        sent += 1
    assert types == set(WORKFLOW_TYPES)
    assert sent >= len(WORKFLOW_TYPES) + 5 + 6


async def test_each_answer_that_is_shown_is_as_its_schema_says(house: House) -> None:
    described = await description(house)
    ours = {path: item for path, item in described["paths"].items() if path.startswith("/v1/")}
    for item in ours.values():
        for operation in item.values():
            assert len(operation["responses"]) > 10
            for answer in operation["responses"].values():
                for media in answer["content"].values():
                    held(media["example"], media["schema"], described)


async def test_a_refusal_is_as_described_and_every_operation_says_who_may(house: House) -> None:
    described = await description(house)
    for one in examples(described):
        if not one.path.startswith("/v1/"):
            continue
        answer = await one.sent(house, None)
        assert answer.status_code == 401
        held(answer.json(), {"$ref": "#/components/schemas/Problem"}, described)
        assert {name for way in one.operation["security"] for name in way} <= set(
            described["components"]["securitySchemes"]
        )


async def test_each_reference_leads_to_something(house: House) -> None:
    described = await description(house)

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    found = set(references(described))
    assert found
    for reference in found:
        root, *way = reference.split("/")
        place: Any = described
        assert root == "#"
        for step in way:
            place = place[step]


async def test_each_request_that_is_shown_is_as_its_schema_says(house: House) -> None:
    described = await description(house)
    for one in examples(described):
        if one.body is not None:
            schema = one.operation["requestBody"]["content"]["application/json"]["schema"]
            held(one.body, schema, described)

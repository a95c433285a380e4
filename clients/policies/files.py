"""Reads `policy.yaml` and `policy.yaml.sig`.

- The policy is strict YAML, as the settings are: one document, no anchors or tags, each key once.
- Everything that is wrong is said at once, each with its line, and no value is repeated.
- An attestation that is not its key's, or not its maker's, is wrong like anything else: such a policy is none.
- The signatures are a JSON list of `schemas.policies.Signature`. Adding one writes the file anew, beside and renamed.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from clients.settings.document import Document, Problem
from clients.settings.reading import MAX_BYTES, parse
from rules import policies as rules
from schemas.errors import PolicyRefused
from schemas.policies import Policy, Signature

NAME: Final = Path("policy.yaml")
_MAX_SIGNATURES: Final = 64
_signatures: Final = TypeAdapter(tuple[Signature, ...])


def judge(document: bytes, file: Path = NAME) -> tuple[Policy | None, tuple[Problem, ...]]:
    """The policy, and everything that is wrong with it. A policy without its shape is None."""
    read, unread = parse(document, file)
    if unread:
        return None, unread
    try:
        policy = Policy.model_validate(read.data)
    except ValidationError as refused:
        errors = refused.errors(include_input=False, include_url=False, include_context=False)
        return None, _sorted(_problem(read, error["loc"], error["msg"]) for error in errors)
    found = (*rules.complaints(policy), *_attestations(policy))
    return policy, _sorted(_problem(read, one.at, one.text) for one in found)


def _attestations(policy: Policy) -> Iterator[rules.Complaint]:
    """What a rule can't judge: whether the attestations that stand in the policy are their makers'."""
    roots = policy.hardware.attestation_roots
    for name, entry in policy.principals.items():
        for key in entry.signing_keys:
            if key.attestation is None:
                continue
            from clients.signers.attestations import fault  # noqa: PLC0415  # `fido2` loads where one stands

            if told := fault(key, roots):
                yield rules.Complaint(("principals", name), f"the key {key.id} can't be used: {told}")


def policy_of(document: bytes, file: Path = NAME) -> Policy:
    """Raises `PolicyRefused` with every problem."""
    policy, problems = judge(document, file)
    if policy is None or problems:
        told = "".join(f"\n  {problem}" for problem in problems)
        raise PolicyRefused(f"{file.name} can't be used:{told}\n")
    return policy


def document_of(file: Path) -> bytes:
    """The exact bytes, as they are signed. Raises `PolicyRefused`."""
    return _bounded(file)


def signatures_beside(file: Path) -> tuple[Signature, ...]:
    """Of `FILE.sig`; none if there is no such file. Raises `PolicyRefused`."""
    beside = _beside(file)
    if not beside.exists():
        return ()
    try:
        found = _signatures.validate_json(_bounded(beside))
    except ValidationError:
        raise PolicyRefused(f"{beside.name} is no list of signatures.") from None
    if len(found) > _MAX_SIGNATURES:
        raise PolicyRefused(f"{beside.name} holds more than {_MAX_SIGNATURES} signatures.")
    return found


def add_signature(file: Path, signature: Signature) -> Path:
    """In place of an earlier one by the same key; returns the file with the signatures."""
    beside = _beside(file)
    others = [one for one in signatures_beside(file) if one.key_id != signature.key_id]
    fresh = beside.with_name(f"{beside.name}.{os.getpid()}")
    fresh.write_bytes(_signatures.dump_json((*others, signature), indent=2) + b"\n")
    fresh.replace(beside)
    return beside


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.sig")


def _bounded(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as missing:
        raise PolicyRefused(f"{file} can't be read: {os.strerror(missing.errno or 0)}.") from None
    if len(raw) > MAX_BYTES:
        raise PolicyRefused(f"{file.name} is larger than {MAX_BYTES} bytes.")
    return raw


def _problem(read: Document, at: tuple[str | int, ...], text: str) -> Problem:
    place = tuple(part for part in at if part != "[key]")
    return Problem(
        read.nearest(place),
        ".".join(map(str, place)),
        text.removeprefix("Value error, ").replace("Input ", ""),
    )


def _sorted(problems: Any) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda one: (_line(one.where), one.name)))


def _line(where: str) -> int:
    number = where.rpartition(":")[2]
    return int(number) if number.isdigit() else 0

"""`redoubt policy`: the signed, versioned file that says who may do what."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from cli.output import ExitCode, Format, Output, put, record, say, table
from cli.signing import Chosen, Fido2, Key, Token, Yes, signer_of
from clients.policies.files import (
    add_signature,
    document_of,
    judge,
    policy_of,
    signatures_beside,
)
from clients.settings import load
from clients.settings.reading import parse
from rules.expectations import approvals, decided
from rules.policies import digest, statement
from rules.policy_changes import changes
from rules.requests import fingerprint_of, key_of
from schemas.errors import InvalidInput, NotAuthorized
from schemas.evidence import Entry, Event, Kind
from schemas.expectations import Expected
from schemas.policies import Policy, Signature
from store.policies import Installed
from workers.wiring import Wiring

app = typer.Typer(no_args_is_help=True, help="Who may do what: check, test, sign and apply the policy file.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The policy: YAML.")]

_EXPECTED: Final = TypeAdapter(tuple[Expected, ...])


@app.command()
def check(file: File, output: Output = Format.TEXT) -> None:
    """Name everything that is wrong with a policy file, each by its line; exit code 2 if something is."""
    document = document_of(file)
    _, problems = judge(document, file)
    rows = [{"where": one.where, "name": one.name, "problem": one.text} for one in problems]
    if output is not Format.TEXT:
        table(rows, (), output)
    elif problems:
        put("\n".join(map(str, problems)))
    if problems:
        say(f"{len(problems)} problem{'s' * (len(problems) > 1)} in {file}.")
        raise typer.Exit(ExitCode.USAGE)
    say(f"{file} can be used. Its SHA-256 is {digest(document)}.")


@app.command("test")
def compare(
    file: File,
    expected: Annotated[Path, typer.Option("--expect", metavar="TABLE", help="Expected decisions: YAML.")],
    output: Output = Format.TEXT,
) -> None:
    """Compare a policy's decisions with a table of what they must be; exit code 4 if one differs."""
    policy = policy_of(document_of(file), file)
    rows = [_row(policy, one) for one in _table(expected)]
    table(rows, ("ok", "who", "act", "capability", "subject", "expected", "approvals", "why"), output)
    wrong = sum(not row["ok"] for row in rows)
    if wrong:
        say(f"{wrong} of {len(rows)} decisions are not as expected.")
        raise typer.Exit(ExitCode.VERIFICATION)
    say(f"All {len(rows)} decisions are as expected.")


@app.command()
def diff(file: File) -> None:
    """Say in words everything that a policy file would change of the one that holds."""
    held = Wiring(load()).policies().newest()
    told = changes(held and held.policy, policy_of(document_of(file), file))
    put("\n".join(told) if told else "Nothing changes.")


@app.command()
def sign(file: File, key: Key = "", token: Token = "", fido2: Fido2 = None, yes: Yes = False) -> None:
    """Sign a policy file's exact bytes, after you have read what it changes; the signature is added to FILE.sig."""
    document = document_of(file)
    policy = policy_of(document, file)
    wiring = Wiring(load())
    signer = signer_of(wiring, Chosen(key, token, fido2))
    held = wiring.policies().newest()
    found = key_of(held.policy if held else policy, fingerprint_of(signer.key))
    if found is None:
        raise NotAuthorized("The policy that holds does not name this key, so its signature would not count.")
    for line in changes(held and held.policy, policy) or ["Nothing changes."]:
        say(line)
    if not yes:
        typer.confirm(f"Sign version {policy.version} as {found[0]}?", abort=True, err=True)
    signature = base64.b64encode(signer.sign(statement(document))).decode()
    beside = add_signature(file, Signature(key_id=found[1].id, signature=signature))
    say(f"{found[0]} has signed version {policy.version} by the key {found[1].id}: {beside}.")


@app.command()
def apply(file: File, output: Output = Format.TEXT) -> None:
    """Install a version that enough admins have signed. The first one must be the one that the settings name."""
    wiring = Wiring(load())
    document, signatures = document_of(file), signatures_beside(file)
    policies = wiring.policies()
    held = policies.newest()
    if held is not None and held.sha256 == digest(document):
        say(f"Version {held.policy.version} holds already.")
        return
    policy = policies.judged(document, signatures)
    row = Installed(version=policy.version, sha256=digest(document), document=document, signatures=signatures)
    counts = policies.counts(document, signatures)
    wiring.authority().records().install(row, _applied(policy, row), counts)
    record({"version": policy.version, "sha256": row.sha256, "signatures": len(signatures)}, output)


@app.command()
def show(output: Output = Format.TEXT) -> None:
    """Show the policy that holds: its version, and who has which role for what."""
    held = Wiring(load()).policies().current()
    if held is None:
        say("No policy holds: the settings name none (policy.root_sha256), so everything is allowed.")
        return
    say(f"Version {held.policy.version}, SHA-256 {held.sha256}.")
    rows = [
        {"who": name, "role": grant.role, "capability": grant.capability, "scope": grant.scope}
        for grant in held.policy.grants
        for name in grant.principals
    ]
    table(rows, ("who", "role", "capability", "scope"), output)


def _table(file: Path) -> tuple[Expected, ...]:
    read, unread = parse(document_of(file), file)
    if unread:
        raise InvalidInput(f"{unread[0]}.")
    try:
        return _EXPECTED.validate_python(read.data.get("decisions"))
    except ValidationError as refused:
        error = refused.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, ("decisions", *error["loc"])))
        raise InvalidInput(f"{file}: {where}: {error['msg'].removeprefix('Value error, ')}.") from None


def _row(policy: Policy, one: Expected) -> dict[str, object]:
    decision, told = decided(policy, one), {}
    ok = decision.yes is one.allowed
    if one.approvals is not None:
        asked = approvals(policy, one)
        ok, told = ok and asked == one.approvals, {"approvals": asked}
    return {
        "ok": ok,
        "who": one.who,
        "act": one.act,
        "capability": one.capability,
        "subject": one.subject,
        "expected": one.allowed,
        **told,
        "why": decision.why,
    }


def _applied(policy: Policy, row: Installed) -> Entry:
    signed = sorted(one.key_id for one in row.signatures)
    return Entry(
        operation=f"policy/{policy.version}",
        step="applied",
        kind=Kind.NOTE,
        what=Event.POLICY_APPLIED,
        subject="policy",
        who="service:policy",
        at=datetime.now(UTC),
        facts={
            "version": policy.version,
            "sha256": row.sha256,
            "previous_sha256": policy.previous_sha256,
            "signed_by": [*signed],
        },
    )

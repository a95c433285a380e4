"""The example that `redoubt schema TYPE --example` prints, and the documents show, runs as it stands."""

import json
from contextlib import ExitStack

import pytest

from schemas.catalogue import WORKFLOW_TYPES
from tests.acceptance.embedded import Embedded

CERTIFICATES = ("shop", "www")


@pytest.mark.parametrize("kind", WORKFLOW_TYPES)
def test_the_example_of_each_workflow_type_runs(embedded: Embedded, kind: str) -> None:
    example = embedded.redoubt("schema", kind, "--example")
    assert json.loads(example.out) == WORKFLOW_TYPES[kind].takes.example
    with ExitStack() as alone:
        for certificate in CERTIFICATES:
            alone.enter_context(embedded.alone(certificate))
        ended = embedded.redoubt("start", kind, "--input", "-", "--wait", "-o", "jsonl", given=example.out)
    assert ended.code == 0, ended.err + ended.out
    assert json.loads(ended.out.splitlines()[-1])["state"] == "COMPLETED"

"""People at the Temporal Web UI, in a real Chromium: the start form, bad input, and what a run's page tells."""

import base64
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from cli.demo.browser import browsing, fill, shown_input, start, start_button
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import CATALOGUE
from tests.acceptance.embedded import Embedded

ABOUT = WORKFLOW_TYPES["CertificateRenewal"].summary
CANARY = "canary-7d0f43"
RUN_MS = 60_000


REFILLED = """<h1>Start</h1><div class="cm-content" contenteditable></div><script>
const editor = document.querySelector(".cm-content");
const refill = () => { editor.textContent = "the run before"; window.refilled = true; };
editor.addEventListener("input", () => setTimeout(refill, 200), { once: true });
</script>"""
"""As the start form does where the workflow ID has run before, and as late as it may on a busy machine."""


def test_what_the_form_writes_over_the_input_is_typed_again(tmp_path: Path) -> None:
    form = tmp_path / "form.html"
    form.write_text(REFILLED)
    with browsing() as page:
        fill(page, form.as_uri(), '{"certificate": "www"}')
        page.wait_for_function("window.refilled")
        expect(page.locator(".cm-content")).to_have_text('{"certificate": "www"}')


def _form(embedded: Embedded, workflow_id: str) -> str:
    query = {"workflowId": workflow_id, "taskQueue": "certificates", "workflowType": "CertificateRenewal"}
    return f"{embedded.web_ui}/namespaces/default/workflows/start-workflow?{urlencode(query)}"


def _tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def _metadata(page: Page, what: str) -> Locator:
    return page.frame_locator(f"#user-metadata-{what}").locator("body")


def test_a_renewal_is_started_from_the_prefilled_form_and_its_page_tells_the_story(
    embedded: Embedded,
) -> None:
    linked = embedded.redoubt("schema", "CertificateRenewal", "--link")
    sent: list[Request] = []
    with embedded.alone("www"), browsing() as page:
        # The form of an ID that has run before is filled with that run's input, some time after it opens.
        embedded.renew("www", "the run before")
        page.on("request", lambda request: sent.append(request))  # noqa: PLW0108 - the library marks what it is given
        given = json.dumps({"certificate": "www", "force": True, "reason": CANARY})
        fill(page, linked.out.strip(), given)
        run_id = start(page)
        expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=RUN_MS)

        # Input and result are shown decoded, and the timeline says what each step is for.
        expect(shown_input(page)).to_contain_text(CANARY)
        expect(page.get_by_text('"outcome": "renewed"').first).to_be_visible()
        for told in ("plan www", "order from acme", "switch on web-1", "verify on web-3"):
            expect(page.locator("main").get_by_text(told).first).to_be_visible()

        # Current details are fetched once a page.
        page.reload()
        _tab(page, "User Metadata")
        # The form takes over the summary of the run before, which the command had started.
        expect(_metadata(page, "summary")).to_contain_text("CertificateRenewal: www")
        expect(_metadata(page, "details")).to_contain_text(ABOUT)
        details = _metadata(page, "current-details")
        expect(details).to_contain_text(ABOUT)
        expect(details.get_by_text("renewed").first).to_be_visible()
        for target in ("web-1", "web-2", "web-3"):
            expect(details.get_by_role("row", name=target)).to_contain_text("verified")

        _tab(page, "Search Attributes")
        for told in ("RedoubtPhase", "renewed", "RedoubtSubject", "www", "RedoubtSeverity", "routine"):
            expect(page.locator("main").get_by_text(told).first).to_be_visible()
    _is_encrypted(sent)
    _history_is_encrypted(embedded, run_id)


def _is_encrypted(sent: list[Request]) -> None:
    """What was typed left the browser in plain for the codec server only."""
    starts = [one.post_data or "" for one in sent if one.method == "POST" and "/api/v1/" in one.url]
    assert any(base64.b64encode(b"binary/encrypted").decode() in body for body in starts)
    assert not any(CANARY in body or base64.b64encode(CANARY.encode()).decode() in body for body in starts)


def _history_is_encrypted(embedded: Embedded, run_id: str) -> None:
    file = embedded.folder / f"{run_id}.json"
    exported = embedded.redoubt("history", "export", "certificate-renewal/www", str(file), "--run-id", run_id)
    assert exported.code == 0, exported.err
    started = json.loads(file.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]
    (payload,) = started["input"]["payloads"]
    assert base64.b64decode(payload["metadata"]["encoding"]) == b"binary/encrypted"
    assert CANARY.encode() not in base64.b64decode(payload["data"])


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (f'{{"certificate": "www", "colour": "{CANARY}"}}', "InvalidInput", "colour"),
        (f'{{"certificate": "www", "force": "{CANARY}"}}', "InvalidInput", "force"),
        ("", "InvalidInput", "input"),
        (f'{{"certificate": "unknown-{CANARY}"}}', "", "redoubt certs list"),
    ],
    ids=["unknown field", "wrong type", "empty form", "unknown name"],
)
def test_bad_input_fails_at_once_with_words_a_person_can_act_on(
    embedded: Embedded, given: str, code: str, told: str, tmp_path: Path
) -> None:
    # The page is tall, for its viewer of JSON renders only what can be seen.
    with browsing(height=3000) as page:
        fill(page, _form(embedded, f"certificate-renewal/{tmp_path.name}"), given)
        start(page)
        expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=RUN_MS)
        shown = page.locator("main")
        expect(shown).to_contain_text(code)
        expect(shown).to_contain_text(told)
        if code:
            expect(shown).to_contain_text(CATALOGUE[code].what_to_do)
            # The input is the person's own, and shown as such; the error does not repeat it.
            if given:
                expect(shown_input(page)).to_contain_text(CANARY)
            assert shown.inner_text().count(CANARY) == given.count(CANARY)
        else:
            # The form of an ID that has not run before gives no summary: the run's own story says what it does.
            _tab(page, "User Metadata")
            details = _metadata(page, "current-details")
            expect(details).to_contain_text(ABOUT)
            expect(details).to_contain_text("Failed: No certificate")


def test_the_form_does_not_start_what_is_no_json(embedded: Embedded, tmp_path: Path) -> None:
    workflow_id = f"certificate-renewal/{tmp_path.name}"
    with browsing() as page:
        fill(page, _form(embedded, workflow_id), '{"certificate": "www", ')
        expect(start_button(page)).to_be_disabled()
        # The button is held back by the input alone.
        fill(page, _form(embedded, workflow_id), '{"certificate": "www"}')
        expect(start_button(page)).to_be_enabled()
    assert "UnknownSubject" in embedded.redoubt("status", workflow_id).err

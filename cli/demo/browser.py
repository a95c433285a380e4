"""A person at the Temporal Web UI, in a headless Chromium: fills the start form, clicks, looks at the run.

What the form shows when it opens is not yet what it holds: where the workflow ID has run before, the form fetches
that run's input and writes it over whatever stands there, a moment after the page has come to rest. So what
stands there is looked at, and typed again, until it is the input at two looks in a row.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, Response, expect, sync_playwright

from cli.demo.proofs import Unproved, wait_for
from clients.tools import find

PATIENCE_MS = 30_000
RUN_MS = 120_000
_TRIES, _LOOKS, _SETTLE_MS = 40, 2, 300
_EDITOR = ".cm-content:visible"
_ARGUMENTS = (
    # Chromium's own sandbox needs rights that a container's root does not have; it visits only our own pages.
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browsing(width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """A fresh browser with one empty page."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(find("chromium")), args=list(_ARGUMENTS))
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            browser.close()


def fill(page: Page, link: str, given: str) -> None:
    """Open the prefilled start form and type the input, and nothing else; raises unless the form holds it."""
    page.goto(link)
    page.wait_for_load_state("networkidle")
    editor, held = page.locator(_EDITOR).first, 0
    _type(page, editor, given)
    for _ in range(_TRIES):
        page.wait_for_timeout(_SETTLE_MS)
        if _same(editor.inner_text(), given):
            held += 1
        else:
            held = 0
            _type(page, editor, given)
        if held == _LOOKS:
            return
    raise Unproved("The Web UI's start form does not hold what was typed into it.")


def _type(page: Page, editor: Locator, given: str) -> None:
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    if given:
        page.keyboard.insert_text(given)
    # The form takes over what was typed when the editor loses the focus.
    page.get_by_role("heading").first.click()


def start_button(page: Page) -> Locator:
    """The form keeps it disabled while the input is no JSON."""
    return page.get_by_test_id("start-workflow-button")


def start(page: Page) -> str:
    """Click Start, follow the link to the run that this made; returns its run ID."""
    with page.expect_response(_starts) as answered:
        start_button(page).click()
    run_id = str(answered.value.json().get("runId", ""))
    if not run_id:
        raise Unproved("The Web UI could not start the workflow.")
    # The form stays, and a message with a link to the run appears.
    page.locator(f"a[href*='{run_id}']").first.click()
    page.wait_for_url(re.compile(run_id))
    return run_id


def shown_input(page: Page) -> Locator:
    """The input on a run's page, decoded if the codec server has decoded it; its result stands in the next one."""
    return page.locator(_EDITOR).first


def start_in_web_ui(link: str, given: str, picture: Path) -> str:
    """Start a workflow as a person does and wait until it has completed; returns its page, pictured at the end."""
    with browsing(height=1300) as page:
        fill(page, link, given)
        start(page)
        expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=RUN_MS)
        wait_for(
            lambda: _same(shown_input(page).inner_text(), given), 30, "the typed input on the run's page"
        )
        page.screenshot(path=str(picture))
        return page.url


def _same(shown: str, typed: str) -> bool:
    """Whether they are the same but for white space, which the form lays out its own way."""
    return "".join(shown.split()) == "".join(typed.split())


def _starts(answer: Response) -> bool:
    return answer.request.method == "POST" and bool(
        re.search(r"/api/v1/namespaces/[^/]+/workflows/", answer.url)
    )

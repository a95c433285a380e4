"""Words from outside can't draw anything into the Web UI's Markdown."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.certificates import SweepDecision, SweepFindings
from tests.integration.workflows.stand_ins import plan
from workflows.certificates.renewal import CertificateRenewal
from workflows.certificates.sweep import CertificateSweep
from workflows.story import Story, plain


def test_a_reason_with_markup_stays_words_on_one_line() -> None:
    assert (
        plain("see [here](http://x)\n| a | b |\n![i](y)")
        == "see \\[here\\](http://x) \\| a \\| b \\| \\!\\[i\\](y)"
    )


@given(st.text())
def test_no_line_break_and_no_bare_mark_is_left(text: str) -> None:
    shown = plain(text)
    assert len(shown.splitlines()) <= 1
    bare = shown.replace("\\\\", "").replace("\\|", "").replace("\\[", "").replace("\\<", "")
    assert not set("|[<") & set(bare)


class Untold(Story):
    """A story outside a run: nobody is told."""

    def enter(self, phase: str, *, waits_for: str = "", who_can_act: str = "") -> None:
        self.phase, self.waits_for, self.who_can_act = phase, waits_for, who_can_act

    def tell(self) -> None:
        """To nobody."""


OUTSIDE = "as the CA suggests (https://ca.example.net/[a](b)|c)"


def test_why_a_certificate_is_due_stays_words_in_a_sweeps_story() -> None:
    sweep = CertificateSweep()
    sweep.story = Untold("certificates")
    due = SweepDecision(certificate="www", due=True, why=OUTSIDE)
    unreadable = SweepDecision(certificate="db", due=False, why=OUTSIDE)
    sweep._tell(SweepFindings(looked_at=2, due=(due,), unreadable=(unreadable,)))
    shown = sweep.story.markdown()
    assert shown.count(plain(OUTSIDE)) == 2
    assert OUTSIDE not in shown


def test_why_nothing_was_done_stays_words_in_a_renewals_story() -> None:
    renewal = CertificateRenewal()
    renewal.story = Untold("www")
    renewal._not_due(plan(due=False, why=OUTSIDE))
    assert f"Nothing was done: {plain(OUTSIDE)}." in renewal.story.markdown()

"""Words from outside can't draw anything into the Web UI's Markdown."""

from hypothesis import given
from hypothesis import strategies as st

from workflows.story import plain


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

"""What of an error's words a client may read."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from schemas.errors import CATALOGUE, ReloadFailed
from schemas.redaction import REST, redacted

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="/\"'`"), min_size=1
)
ROOT = st.sampled_from(["/", "//", "/.", "/../", "/./", "/x/../"])
BEFORE = st.sampled_from(["", " ", "(", "=", ":", "'", '"', "<", ",", "file://", "unix:", "~"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            'nginx: cannot load "/srv/a b/full.pem": no such file',
            'nginx: cannot load "…/full.pem": no such file',
        ),
        ("sh: 1: /opt/hooks/reload.sh: not found", "sh: 1: …/reload.sh: not found"),
        ("in /etc/nginx/nginx.conf:7.", "in …/nginx.conf:7."),
        ("file:/etc/pin, file:///etc/pin and unix:///run/x.sock", "file:…/pin, file:…/pin and unix:…/x.sock"),
        ("PATH is /usr/bin:/bin (in ~/x or ~root/.y)", "PATH is …/bin (in …/x or …/.y)"),
        ("//srv/x, /srv/", "…/x, …/srv"),
        ('boom Traceback (most recent call last):\n  File "/x.py", line 1', f"boom {REST}"),
        ('  File "hook.py", line 3, in main', f"  {REST}"),
        ("panic: x goroutine 1 [running]:", f"panic: x {REST}"),
        ("psql: INSERT INTO hosts VALUES (1)", f"psql: {REST}"),
        ("psql: SELECT pin\nFROM tokens", f"psql: {REST}"),
    ],
)
def test_paths_keep_their_last_name_and_stacks_and_sql_are_cut_off(words: str, told: str) -> None:
    assert redacted(words) == told


@pytest.mark.parametrize(
    "words",
    [
        "https://ca.example.com:14000/dir/x, http://[::1]/y and https://ca.example.com/",
        "10.0.0.0/8, 1/2, and/or, a / b, docs/targets.md, pkcs11:token=a;object=b",
        "certificate-renewal/www.example.com waits; Select one from the list.",
        "requests/www.csr in inbox/, vault:kv/app#field, file:PATH, ../x, …/x",
    ],
)
def test_all_else_stays_letter_for_letter(words: str) -> None:
    assert redacted(words) == words


@given(BEFORE, ROOT, st.lists(NAMES, min_size=2), st.text())
@example("", "/", [":", ":"], "")
def test_no_folder_of_an_absolute_path_is_left(before: str, root: str, names: list[str], behind: str) -> None:
    assume(not (before.endswith(":") and root == "//"))  # a host's name follows
    words = f"see {before}{root}folder-7d0f/{'/'.join(names)} {behind}"
    assert "folder-7d0f" not in redacted(words)


@given(st.text(st.sampled_from("/~.:-'\"a [(…\n")))
def test_what_was_redacted_stays_as_it_is(words: str) -> None:
    once = redacted(words)
    assert redacted(once) == once


@given(st.sampled_from("/~. '\"`<(a").flatmap(lambda sign: st.text(st.sampled_from(f"{sign}/a \"'~"))))
def test_an_absolute_path_is_found_wherever_it_stands(words: str) -> None:
    assert not re.search(r"(?:^|[\s\"'`<(])~?/+[a-z]", redacted(words))


def test_an_error_is_redacted_where_it_is_made_and_keeps_its_words_for_the_log() -> None:
    error = ReloadFailed("web-1: /srv/hook: not found")
    assert error.detail == "web-1: …/hook: not found"
    assert error.in_full == "web-1: /srv/hook: not found"
    assert "/srv" not in f"{error} {error.args} {error!r}"


def test_the_catalogues_own_words_need_no_redaction() -> None:
    for entry in CATALOGUE.values():
        assert redacted(entry.meaning) == entry.meaning
        assert redacted(entry.what_to_do) == entry.what_to_do

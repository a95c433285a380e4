"""CAA as RFC 8659 and RFC 8657 have it: the tree, wildcards, critical tags, parameters, and what can't be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.caa import Asker, Record, binds_account, forbidding, identities, in_words, places

OURS = Asker(("letsencrypt.org", "le.example"), "http-01", "https://ca.example/acct/1")
NAME, WILD = "www.example.com", "*.example.com"


def issue(value: str, tag: str = "issue", flags: int = 0) -> Record:
    return Record(flags, tag, value)


@pytest.mark.parametrize(
    ("name", "looked_at"),
    [
        ("a.b.example.com", ("a.b.example.com", "b.example.com", "example.com", "com")),
        ("*.b.example.com", ("b.example.com", "example.com", "com")),
        ("com", ("com",)),
    ],
)
def test_the_tree_is_climbed_from_the_name_to_the_top(name: str, looked_at: tuple[str, ...]) -> None:
    assert places(name) == looked_at


@pytest.mark.parametrize(
    "value",
    [
        "letsencrypt.org",
        "LetsEncrypt.ORG",
        "  letsencrypt.org\t",
        "letsencrypt.org;",
        "letsencrypt.org; ",
        "le.example",
        "letsencrypt.org; accounturi=https://ca.example/acct/1",
        "letsencrypt.org; AccountURI=https://ca.example/acct/1 ; validationmethods=dns-01,http-01",
        "letsencrypt.org;validationmethods=http-01",
        "letsencrypt.org; other=1; another=",
    ],
)
def test_what_names_us_lets_us_issue(value: str) -> None:
    assert forbidding(NAME, [issue(value)], OURS) is None
    assert forbidding(NAME, [issue("other.example"), issue(value)], OURS) is None
    assert forbidding(WILD, [issue(value)], OURS) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";",
        "other.example",
        "letsencrypt.org.",
        "sub.letsencrypt.org",
        "letsencrypt.org letsencrypt.org",
        "%%%%%",
        "letsencrypt.org; accounturi=https://ca.example/acct/2",
        "letsencrypt.org; accounturi=https://ca.example/acct/1; accounturi=https://ca.example/acct/1",
        "letsencrypt.org; validationmethods=dns-01",
        "letsencrypt.org; validationmethods=http-01; validationmethods=http-01",
        "letsencrypt.org; validationmethods=",
        "letsencrypt.org; nonsense",
        "letsencrypt.org; a=b c",
    ],
)
def test_what_names_others_or_nobody_or_binds_us_otherwise_forbids(value: str) -> None:
    record = issue(value)
    assert forbidding(NAME, [record], OURS) == record


def test_what_we_do_not_know_is_left_to_the_ca() -> None:
    bound = issue("letsencrypt.org; accounturi=https://ca.example/acct/2; validationmethods=dns-01")
    assert forbidding(NAME, [bound], Asker(("letsencrypt.org",))) is None
    assert binds_account([bound])
    assert not binds_account([issue("letsencrypt.org")])


def test_a_wildcard_has_records_of_its_own() -> None:
    ours, theirs = issue("letsencrypt.org"), issue("other.example", "issuewild")
    assert forbidding(WILD, [ours, theirs], OURS) == theirs
    assert forbidding(NAME, [ours, theirs], OURS) is None
    only_wild = issue("letsencrypt.org", "IssueWild")
    assert forbidding(NAME, [only_wild, issue(";")], OURS) == issue(";")
    assert forbidding(WILD, [only_wild, issue(";")], OURS) is None
    assert forbidding(NAME, [theirs], OURS) is None


def test_an_unknown_tag_forbids_only_if_it_is_critical() -> None:
    assert forbidding(NAME, [issue("x", "tbs")], OURS) is None
    critical = issue("x", "tbs", 128)
    assert forbidding(NAME, [issue("letsencrypt.org"), critical], OURS) == critical
    assert forbidding(NAME, [issue("mailto:a@example.com", "iodef", 128)], OURS) is None


@given(
    st.lists(st.builds(Record, st.integers(0, 127), st.sampled_from(("issue", "iodef", "tbs")), st.text()))
)
def test_whatever_stands_there_another_record_for_us_is_enough(records: list[Record]) -> None:
    assert forbidding(NAME, [*records, issue("letsencrypt.org")], OURS) is None
    assert forbidding(NAME, records, Asker(())) in [*(one for one in records if one.tag == "issue"), None]


@given(st.builds(Record, st.integers(0, 255), st.text(), st.text()))
def test_a_record_is_shown_on_one_line_without_control_characters(record: Record) -> None:
    words = in_words(record)
    assert words.isprintable()
    assert words.count('"') == 2
    assert len(words) < 150


def test_of_what_a_directory_gives_only_domain_names_count_and_not_without_end() -> None:
    assert identities(["ca.example", 1, "a b", "", "ca.example;x"]) == ("ca.example",)
    assert identities(None) == identities("ca.example") == identities({"ca.example": 1}) == ()
    assert len(identities(["ca.example"] * 1000)) < 100

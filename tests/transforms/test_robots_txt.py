"""robots.txt as RFC 9309 has it, as hosts write it, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fetch_rows import RobotsFile
from tests.conftest import hang_guard
from transforms.robots_txt import (
    MAX_ROBOTS_BYTES,
    MAX_SPECIAL,
    RobotsRules,
    decode_robots,
    origin_of,
    robots_url,
    verdict,
)

HOST = "https://example.org"


def allows(text, path="/a/b.png"):
    return RobotsRules.parse(text).allows(HOST + path)


def for_all(*rules):
    return "\n".join(["User-agent: *", *rules])


def row(outcome="ok", text=None, message=None):
    return RobotsFile(HOST, outcome, 1, None, None, "2026-01-01T00:00:00Z", text, message)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.org/a/b.png?c=/d", "https://example.org"),
        ("http://example.org:8080/", "http://example.org:8080"),
        ("http://[2001:db8::1]:81/a", "http://[2001:db8::1]:81"),
    ],
)
def test_origin_and_place_of_the_file(url, origin):
    assert origin_of(url) == origin
    assert robots_url(url) == f"{origin}/robots.txt"


@pytest.mark.parametrize(
    ("line", "is_ours"),
    [
        ("User-agent: Weft", True), ("user-AGENT:wEFT", True), ("User-agent: weft/1.0", True),
        ("User-agent: Weft (images)", True), ("  User-agent :  Weft  # us", True),
        ("User-agent: weft*", True), ("User agent: Weft", True), ("Useragent: Weft", True),
        ("User-agent: We", False), ("User-agent: w", False), ("User-agent: weftling", False),
        ("User-agent: weft-images", False), ("User-agent: aweft", False), ("User-agent: *", True),
        ("User-agent: * # all", True), ("User-agent: *bot", False), ("User-agent:", False),
        ("User-agent: Mozilla/5.0 (compatible; Weft/1.0)", False), ("User-agents: Weft", False),
    ],
)  # fmt: skip
def test_group_is_ours_by_the_whole_token(line, is_ours):
    assert allows(f"{line}\nDisallow: /") is not is_ours


GROUPS = {
    "our group instead of the general one": (
        "User-agent: *; Disallow: /; ; User-agent: weft",
        True,
    ),
    "our empty rule": ("User-agent: *; Disallow: /; User-agent: weft; Disallow:", True),
    "our group first": ("User-agent: weft; Disallow: /a; User-agent: *; Allow: /", False),
    "groups of one agent are one": (
        "User-agent: weft; Disallow: /c; User-agent: x; Allow: /; User-agent: weft; Disallow: /a",
        False,
    ),
    "several agents share rules": (
        "User-agent: x; User-agent: weft; User-agent: y; Disallow: /",
        False,
    ),
    "a blank line does not end a group": ("User-agent: weft; ; ; Disallow: /", False),
    "a sitemap does not end a list": (
        "User-agent: weft; Sitemap: https://e.example/s; User-agent: x; Disallow: /",
        False,
    ),
    "an unknown line does not end a list": (
        "User-agent: weft; Colour: red; User-agent: x; Disallow: /",
        False,
    ),
    "a delay ends a list": ("User-agent: *; Crawl-delay: 9; ; User-agent: x; Disallow: /", True),
    "rules before any agent": ("Disallow: /; User-agent: x; Allow: /", True),
    "nobody we know": ("User-agent: x; Disallow: /", True),
    "carriage returns end lines": (
        "User-agent: weft\rDisallow: /\r\rUser-agent: x\rAllow: /",
        False,
    ),
    "other separators do not": (
        "User-agent: *; Disallow: /z\u2028User-agent: weft\x0bDisallow: /",
        True,
    ),
    "a comment is none": ("User-agent: weft # x; Disallow: /#a", False),
    "the general group among others": (
        "User-agent: x; Disallow: /c; User-agent: *; User-agent: y; Disallow: /a; User-agent: z",
        False,
    ),
    "misspelled": ("User-agent: *; Dissallow: /", False),
    "no colon": ("User-agent *; Disallow /", False),
}
"""Files, with a semicolon for the end of a line, and whether they let us in."""


@pytest.mark.parametrize(("text", "allowed"), GROUPS.values(), ids=GROUPS.keys())
def test_groups(text, allowed):
    assert allows(text.replace("; ", "\n")) is allowed


SIMPLE = """\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""
"""RFC 9309, 5.1."""


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("other", "/a.gif", False), ("other", "/a.gif?x", True), ("other", "/example/x", False),
        ("other", "/publications/x", True), ("other", "/x", True),
        ("foobot", "/example/page.html", True), ("foobot", "/example/allowed.gif", True),
        ("foobot", "/example/", False), ("foobot", "/", False),
        ("barbot", "/example/page.html", False), ("barbot", "/a.gif", True),
        ("bazbot", "/example/page.html", False), ("bazbot", "/example/", True),
        ("quxbot", "/a.gif", True), ("quxbot", "/example/", True),
    ],
)  # fmt: skip
def test_simple_example_of_the_standard(agent, path, allowed):
    assert allows(SIMPLE.replace(agent, "weft"), path) is allowed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/example/page/", True), ("/example/page/disallowed.gif", False), ("/example/page", False),
        ("/other", True),
    ],
)  # fmt: skip
def test_longest_match_of_the_standard(path, allowed):
    """RFC 9309, 5.2, with a third rule so that both outcomes are seen beside it."""
    text = for_all(
        "Allow: /example/page/", "Disallow: /example/page/disallowed.gif", "Disallow: /example"
    )
    assert allows(text, path) is allowed


@pytest.mark.parametrize(
    ("pattern", "path", "matched"),
    [
        # 2.2.2: both are compared in their encoded form.
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/a%2Fb", "/a/b", False), ("/a%2fb", "/a%2Fb", True), ("/a b", "/a%20b", True),
        ("/100%", "/100%25", True), ("/%", "/a", False),
        # 2.2.3: special characters.
        ("/this/path/exactly$", "/this/path/exactly", True),
        ("/this/path/exactly$", "/this/path/exactly/not", False),
        ("/this/*/exactly", "/this/or/that/exactly", True),
        ("/this/*/exactly", "/this/exactly", False),
        ("*.gif$", "/a/b.gif", True), ("*.gif$", "/a/b.gif?c", False), ("/*.gif", "/b.gif?c", True),
        ("/a$b", "/a$b/c", True), ("/*", "/", True), ("*", "/", True), ("/$", "/", True),
        ("/$", "/a", False), ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-b.html", False),
        ("/path/foo-%24", "/path/foo-$", True), ("/path/foo-%24", "/path/foo-", False),
        # Paths are case-sensitive and match from their beginning.
        ("/A", "/a", False), ("/b", "/a/b", False), ("/fish", "/fish.html", True),
        ("/fish/", "/fish", False), ("//a", "//a/b", True), ("", "/", False),
    ],
)  # fmt: skip
def test_patterns(pattern, path, matched):
    assert allows(for_all(f"Disallow: {pattern}"), path) is not matched


@pytest.mark.parametrize("order", [1, -1])
def test_rule_that_allows_wins_over_one_of_equal_length(order):
    rules = ["Allow: /page", "Disallow: /page"][::order]
    assert allows(for_all(*rules), "/page")
    rules = ["Allow: /p*", "Disallow: /page"][::order]
    assert not allows(for_all(*rules), "/page")


@pytest.mark.parametrize(
    ("lines", "delay"),
    [
        (["Crawl-delay: 10"], 10.0), (["crawl-delay: 0.5 # s"], 0.5), (["Crawl-delay: 1e9"], 1e9),
        (["Crawl-delay: -1"], None), (["Crawl-delay: nan"], None), (["Crawl-delay: inf"], None),
        (["Crawl-delay: 1e999"], None), (["Crawl-delay: soon"], None), (["Crawl-delay:"], None),
        (["Crawl-delay: 5s"], None), (["Crawl-delay: 0"], 0.0), ([], None),
        (["User-agent: x", "Crawl-delay: 3"], None), (["User-agent: weft", "Crawl-delay: 3"], 3.0),
    ],
)  # fmt: skip
def test_crawl_delay(lines, delay):
    assert RobotsRules.parse(for_all("Disallow: /z", *lines)).crawl_delay == delay


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("http_404", None), ("http_410", None), ("http_401", None), ("http_403", None),
        ("http_451", None), ("http_204", None), ("http_304", None), ("empty", None),
        ("too_many_redirects", None), ("bad_redirect", None),
        ("http_429", "robots_unreachable"), ("http_500", "robots_unreachable"),
        ("http_503", "robots_unreachable"), ("http_599", "robots_unreachable"),
        ("http_100", "robots_unreachable"), ("content_coding", "robots_unreachable"),
        ("too_large", "robots_unreachable"),
        ("dns", "dns"), ("connect", "connect"), ("tls", "tls"), ("timeout", "timeout"),
        ("disconnected", "disconnected"), ("protocol", "protocol"), ("truncated", "truncated"),
        ("blocked_address", "blocked_address"),
    ],
)  # fmt: skip
def test_verdict_without_a_file(outcome, expected):
    error = verdict(row(outcome, message="why"), f"{HOST}/a.png")
    assert (error and error.outcome) == expected
    if error:
        assert str(error) == f"{HOST}/robots.txt: {outcome} (why)"
        assert not RobotsRules.of(row(outcome)).allows(f"{HOST}/a.png")


def test_verdict_of_a_file():
    rules = RobotsRules.of(row(text=for_all("Disallow: /private", "Crawl-delay: 2")))
    assert rules.verdict(f"{HOST}/a.png") is None
    error = rules.verdict(f"{HOST}/private/a.png")
    assert (error.outcome, str(error)) == ("robots", f"{HOST}/robots.txt disallows it")
    assert rules.crawl_delay == 2.0
    assert verdict(row(text=None), f"{HOST}/a.png") is None


@pytest.mark.parametrize(
    "data",
    [
        "User-agent: *\nDisallow: /".encode("utf-8-sig"),
        "User-agent: *\nDisallow: /".encode("utf-16"),
        b"User-agent: *\0\nDis\0allow: /",
        b"# caf\xe9\nUser-agent: *\nDisallow: /",
    ],
    ids=["byte order mark", "utf-16", "zeros", "latin-1"],
)
def test_file_in_an_odd_encoding_is_read(data):
    assert not allows(decode_robots(data))


def test_page_served_as_robots_txt_allows_everything():
    page = "<!DOCTYPE html>\n<html><title>Not found</title>\n<p>User-agent: *</p>\nDisallow: /\n"
    assert allows(page)


def test_file_is_cut_at_a_whole_line():
    head = b"User-agent: *\n" + b"#\n" * (MAX_ROBOTS_BYTES // 2 - 15)
    cut = decode_robots(head + b"Disallow: /private/and/so/on\nDisallow: /")
    assert len(head) < MAX_ROBOTS_BYTES < len(head) + 29
    assert cut == head.decode()
    whole = head + b"Disallow: /"
    assert len(whole) < MAX_ROBOTS_BYTES
    assert not allows(decode_robots(whole))
    assert decode_robots(b"x" * (MAX_ROBOTS_BYTES + 1)) == ""


def filled(line, head="User-agent: *\n"):
    """A file of full length; `line` makes a line of a number."""
    lines = [head]
    size = len(head)
    while size < MAX_ROBOTS_BYTES:
        lines.append(line(len(lines)))
        size += len(lines[-1])
    return "".join(lines)


HOSTILE = {
    "many prefixes": filled(lambda n: f"Disallow: /{n}\n"),
    "many wildcards": filled(lambda n: f"Allow: /*{n}b\n"),
    "one pattern of wildcards": "User-agent: *\nDisallow: /" + "a*" * (MAX_ROBOTS_BYTES // 2) + "b",
    "patterns of wildcards": filled(lambda n: f"Disallow: /{'*a' * 30}{n}c\n"),
    "many ends": filled(lambda n: f"Allow: /{n}$\n"),
    "many agents": filled(lambda n: f"User-agent: a{n}\n"),
    "agents times rules": filled(
        lambda n: f"User-agent: a{n}\n" if n < 12_000 else f"Allow: /{n}\n"
    ),
    "agents twice": filled(lambda n: f"User-agent: a{n % 10_000}\n"),
    "long line": "User-agent: *\nDisallow: /" + "b" * MAX_ROBOTS_BYTES,
    "blanks": "User-agent" + " " * MAX_ROBOTS_BYTES,
    "blank agent": "User" + " " * MAX_ROBOTS_BYTES + "x",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_file_is_read_and_matched_in_time(text):
    with hang_guard():
        rules = RobotsRules.parse(text)
        for number in range(50):
            rules.allows(f"{HOST}/{'a' * 4000}{number}")


def test_special_rules_beyond_the_bound_forbid_more():
    fill = [f"Disallow: /{number}*x" for number in range(MAX_SPECIAL)]
    allowing = "Allow: /a/*.png"
    disallowing = ["Disallow: /a/*.gif", "Disallow: /b/c$"]
    within = for_all(allowing, *disallowing, *fill)
    beyond = for_all("Disallow: /a/*g", *fill, allowing, *disallowing)
    assert allows(within, "/a/b.jpg")
    assert allows(within, "/b/cd")
    assert allows(within, "/a/b.png")
    assert not allows(beyond, "/a/b.jpg")
    assert not allows(beyond, "/b/cd")
    assert not allows(beyond, "/a/b.png")
    assert allows(beyond, "/c/b.jpg")
    assert not allows(for_all(*fill, "Disallow: *x"), "/c/b.jpg")


def test_bound_counts_the_rules_that_are_ours():
    fill = [f"Disallow: /{number}*x" for number in range(MAX_SPECIAL)]
    text = "\n".join(["User-agent: x", *fill, for_all("Disallow: /a/*.gif")])
    assert allows(text, "/a/b.jpg")


LINES = st.lists(
    st.one_of(
        st.sampled_from(["User-agent: *", "User-agent: weft", "Allow: /", "Disallow: /a*b$", ""]),
        st.text(max_size=40),
        st.text(st.characters(max_codepoint=127), max_size=40).map("Disallow: ".__add__),
    )
)


@given(LINES, st.text(max_size=30))
def test_any_file_gives_a_verdict(lines, path):
    rules = RobotsRules.parse("\n".join(lines))
    assert rules.allows(f"{HOST}/{path}") in (True, False)
    assert rules.crawl_delay is None or rules.crawl_delay >= 0


@given(st.binary(max_size=300))
def test_any_bytes_are_text(data):
    assert "\0" not in decode_robots(data)

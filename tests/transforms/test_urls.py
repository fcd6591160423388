import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.urls import MAX_URL_LENGTH, normalize_url, resolve_url, site_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("HTTP://Example.COM", "http://example.com/", id="case_and_empty_path"),
        pytest.param("http://a.com:80/x", "http://a.com/x", id="default_port_http"),
        pytest.param("https://a.com:443/x", "https://a.com/x", id="default_port_https"),
        pytest.param("https://a.com:80/x", "https://a.com:80/x", id="other_port_kept"),
        pytest.param("http://a.com/x#f", "http://a.com/x", id="fragment"),
        pytest.param("http://a.com/x?a=1&b#f?", "http://a.com/x?a=1&b", id="query_kept"),
        pytest.param("http://bücher.de/", "http://xn--bcher-kva.de/", id="idna"),
        pytest.param("http://a.com/ä b", "http://a.com/%C3%A4%20b", id="utf8_escapes"),
        pytest.param("http://a.com/%7euser/%c3%a4", "http://a.com/~user/%C3%A4", id="escape_case"),
        pytest.param("http://a.com/100%.jpg", "http://a.com/100%25.jpg", id="stray_percent"),
        pytest.param("http://a.com/a/../b/./c/..", "http://a.com/b/", id="dot_segments"),
        pytest.param("http://a.com/a/%2e%2E/b", "http://a.com/b", id="escaped_dot_segments"),
        pytest.param("http://a.com/../../b", "http://a.com/b", id="dots_above_root"),
        pytest.param(" \thttp://a.com/a\nb ", "http://a.com/ab", id="white_space"),
        pytest.param("http:\\\\a.com\\b", "http://a.com/b", id="backslashes"),
        pytest.param("http://me:secret@a.com/", "http://a.com/", id="user_dropped"),
        pytest.param("http://0x7f.1/", "http://127.0.0.1/", id="ipv4_spellings"),
        pytest.param("http://[::0:1]:8080/", "http://[::1]:8080/", id="ipv6"),
        pytest.param("http://a.com/t,w_9/p(1)'!.jpg", "http://a.com/t,w_9/p(1)'!.jpg", id="plain"),
        pytest.param("//a.com/x", None, id="no_scheme"),
        pytest.param("data:image/gif;base64,R0", None, id="data"),
        pytest.param("ftp://a.com/", None, id="ftp"),
        pytest.param("http://", None, id="no_host"),
        pytest.param("http://a b.com/", None, id="space_in_host"),
        pytest.param("http://a.com:99999/", None, id="port_out_of_range"),
        pytest.param("http://1.2.3.4.5/", None, id="no_ipv4"),
        pytest.param("", None, id="empty"),
        pytest.param("http://a.com/" + "x" * MAX_URL_LENGTH, None, id="too_long"),
        pytest.param("http://a.com/" + "ä" * 1000, None, id="too_long_when_escaped"),
        pytest.param("http://a.com/\ud800", "http://a.com/%EF%BF%BD", id="lone_surrogate"),
    ],
)
def test_normalize_url_gives_one_spelling(url: str, expected: str | None) -> None:
    assert normalize_url(url) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("b.png", "https://h.com/a/b/b.png"),
        ("/b.png", "https://h.com/b.png"),
        ("../../x", "https://h.com/x"),
        ("../../../../x", "https://h.com/x"),
        ("//cdn.com/y", "https://cdn.com/y"),
        ("?q=2", "https://h.com/a/b/c?q=2"),
        ("#f", "https://h.com/a/b/c?z=1"),
        ("", "https://h.com/a/b/c?z=1"),
        ("http://o.com/x y", "http://o.com/x%20y"),
        ("https:x.png", "https://h.com/a/b/x.png"),
        ("\\\\cdn.com\\y", "https://cdn.com/y"),
        (" b.png\n", "https://h.com/a/b/b.png"),
        ("w_1,h_2/b.png?a=1,2", "https://h.com/a/b/w_1,h_2/b.png?a=1,2"),
        ("data:image/png;base64,AA", None),
        ("javascript:void(0)", None),
        ("about:blank", None),
        ("blob:https://h.com/1", None),
        ("mailto:a@b.c", None),
    ],
)
def test_resolve_url_joins_as_browsers_do(reference: str, expected: str | None) -> None:
    assert resolve_url("https://h.com/a/b/c?z=1#f", reference) == expected


def test_resolve_url_without_a_base_takes_absolute_references_only() -> None:
    assert resolve_url("file:///x/page.html", "a.png") is None
    assert resolve_url("not a url", "http://a.com/a.png") == "http://a.com/a.png"


PIECES = st.sampled_from(
    [*list("abAZ09%/\\.:?#@[]&=+,;|^`{}<>\"' \t\n\x00é漢�"), "http://", "%41", "..", "//"]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_normalize_url_is_idempotent_and_never_raises(text: str) -> None:
    once = normalize_url("http://" + text)
    if once is not None:
        assert normalize_url(once) == once
        assert once.isascii()
        assert resolve_url("http://other.org/x", once) == once
    resolve_url("https://h.com/a/b", text)
    resolve_url(text, text)
    site_of(text)


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("http://a.b.example.co.uk/x", "example.co.uk"),
        ("https://www.example.com:8080/", "example.com"),
        ("http://127.0.0.1/x", "127.0.0.1"),
        ("http://localhost/x", "localhost"),
        ("http://[::1]/x", "::1"),
        ("nothing", ""),
    ],
)
def test_site_of_is_the_registered_domain_else_the_host(url: str, site: str) -> None:
    assert site_of(url) == site


def test_site_of_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert site_of("http://never-seen-before.museum.example.org/") == "example.org"

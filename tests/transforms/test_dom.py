import time

import pytest

from schemas.errors import HtmlParseError, PageTooLargeError
from transforms import dom as dom_module
from transforms.dom import BACKENDS, MAX_DEPTH, MAX_FORMATTING, Dom, parse_html


def rows(dom: Dom) -> list[tuple[str, str, int, int, dict[str, str]]]:
    attributes = [{key: value or "" for key, value in its.items()} for its in dom.attributes]
    return list(zip(dom.tags, dom.texts, dom.ends, dom.parents, attributes, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_parse_html_lists_nodes_in_document_order(backend: str) -> None:
    dom = parse_html("<p id=x>a<i>b</i>c</p><!-- no --><img src=y>", backend)
    assert dom.tags == ["html", "head", "body", "p", "", "i", "", "", "img"]
    assert dom.texts == ["", "", "", "", "a", "", "b", "c", ""]
    assert dom.ends == [9, 2, 9, 8, 5, 7, 7, 8, 9]
    assert dom.parents == [-1, 0, 0, 2, 3, 3, 5, 3, 2]
    assert dom.attribute(3, "id") == "x"
    assert dom.attribute(3, "class") == ""
    assert list(dom.children(3)) == [4, 5, 7]
    assert dom.positions("img") == [8]
    assert dom.positions("p", 4) == []


@pytest.mark.parametrize(
    "html",
    [
        pytest.param("", id="empty"),
        pytest.param("just text", id="text"),
        pytest.param("<p>a<b>c</p><p>d", id="misnested"),
        pytest.param("<b><p>x</b>y</p>", id="adoption"),
        pytest.param("<table><tr><td>a<p>b</table>c", id="table"),
        pytest.param("<table>lost<tr><td>x</table>", id="fostered"),
        pytest.param("<ul><li>a<li>b</ul>", id="implied_ends"),
        pytest.param("a&nbsp;&eacute;&#x41;&#0;&#xD800;&copy", id="entities"),
        pytest.param("<noscript><img src=a></noscript>", id="noscript_is_markup"),
        pytest.param("<script>var a='<p>';</script><style>p{}</style>x", id="scripts_not_read"),
        pytest.param("<svg><title>t</title></svg><select><option>o</select>x", id="never_read"),
        pytest.param("<IMG SRC=a ALT='x &amp; y' DATA-X=1>", id="names_in_lower_case"),
        pytest.param("<picture><source srcset=a><img src=b></picture>", id="picture"),
        pytest.param("<x-custom foo><p>a</p></x-custom>", id="custom_element"),
        pytest.param("<body class=a><p>1<body class=b id=c><p>2", id="second_body"),
        pytest.param("x<![CDATA[y]]>z<?php a ?><!doctype html>", id="declarations"),
        pytest.param("<a href=1>x<a href=2>y", id="links_close_links"),
        pytest.param("a<template><p>b<template>c</template></template><p>d", id="templates"),
        pytest.param("a</template>b<template>c", id="unbalanced_templates"),
        pytest.param("a\ud800b", id="lone_surrogate"),
    ],
)
def test_backends_give_the_same_dom(html: str) -> None:
    assert rows(parse_html(html)) == rows(parse_html(html, "beautifulsoup"))


def depth(dom: Dom) -> int:
    levels = [0] * len(dom)
    for node in range(1, len(dom)):
        levels[node] = levels[dom.parents[node]] + 1
    return max(levels)


@pytest.mark.parametrize(
    "opening", ["<div>", "<b>", "<div><p>", "<table><tr><td>", "<ul><li>", "<a>"]
)
def test_hundred_thousand_nested_elements_are_parsed_in_bounded_time(opening: str) -> None:
    start = time.process_time()
    dom = parse_html(opening * 100_000 + "deepest")
    assert time.process_time() - start < 10
    assert dom.texts[-1] == "deepest"
    if opening != "<a>":
        assert depth(dom) <= 4 * MAX_DEPTH + 8


def test_unclosed_formatting_does_not_multiply() -> None:
    html = "".join(f"<p><b id={number}>x" for number in range(5000))
    dom = parse_html(html)
    assert len(dom.positions("p")) == 5000
    assert len(dom) < 5000 * (MAX_FORMATTING + 3)


def test_closed_elements_do_not_count_as_depth() -> None:
    html = "<div><span></div>" * 6000 + "<section><h2>end</h2></section>"
    dom = parse_html(html)
    assert len(dom.positions("div")) == 6000
    assert len(dom.positions("h2")) == 1


def test_unterminated_comments_and_scripts_cost_linear_time() -> None:
    start = time.process_time()
    parse_html("<!--" * 200_000)
    parse_html("<p><script>" * 50_000)
    assert time.process_time() - start < 5


def test_too_many_nodes_are_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dom_module, "MAX_DOM_NODES", 100)
    for backend in BACKENDS:
        with pytest.raises(PageTooLargeError, match="more than 100"):
            parse_html("<p>x" * 200, backend)


@pytest.mark.parametrize("attributes", [" a{}", " a{}=b", " a{}='b c'"])
def test_a_flood_of_attributes_is_a_typed_error(attributes: str) -> None:
    flood = "".join(attributes.format(number) for number in range(30_000))
    with pytest.raises(PageTooLargeError, match="30001 attributes"):
        parse_html(f"<p{flood}>x")


def test_a_long_attribute_is_no_flood() -> None:
    source = "data:image/png;base64," + "A" * 50_000
    assert parse_html(f"<img src='{source}' alt='{'word ' * 9000}'>").attribute(3, "src") == source


def test_a_refusing_backend_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise dom_module.SelectolaxError("no")

    monkeypatch.setattr(dom_module, "LexborHTMLParser", refuse)
    with pytest.raises(HtmlParseError, match="lexbor: no"):
        parse_html("<p>x")


def test_unknown_backend_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="lexbor, beautifulsoup"):
        parse_html("", "lxml")

import pytest

from schemas.errors import HtmlParseError, PageTooLargeError
from tests.conftest import hang_guard
from transforms import dom as dom_module
from transforms import html_parsers
from transforms.dom import NAMES, Dom, parse_html
from transforms.html_parsers import BACKENDS
from transforms.source_limits import MAX_DEPTH, MAX_FORMATTING


def tag_names(dom: Dom) -> list[str]:
    return [("/" if tag < 0 else "") + NAMES[abs(tag)] for tag in dom.tags.tolist()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_parse_html_lists_tags_in_document_order(backend: str) -> None:
    dom = parse_html("<p id=x>a<i>b</i>c</p><!-- no --><img src=y>d", backend)
    assert tag_names(dom) == (
        ["html", "head", "/head", "body", "p", "i", "/i", "/p", "img", "/body", "/html"]
    )
    assert dom.closes.tolist() == [10, 2, 2, 9, 7, 6, 6, 7, 8, 9, 10]
    assert dom.parents.tolist() == [-1, 0, 0, 0, 3, 4, 4, 3, 3, 0, -1]
    assert [dom.text_behind(tag) for tag in range(len(dom))] == (
        ["", "", "", "", "a", "b", "c", "", "d", "", ""]
    )
    assert dom.text_of(4) == "abc"
    assert dom.attribute(4, "id") == "x"
    assert dom.attribute(4, "class") == ""
    assert dom.attributes(8) == {"src": "y"}
    assert list(dom.children(3)) == [4, 8]
    assert dom.positions("img") == [8]
    assert dom.positions("p", 5) == []


def test_attributes_and_texts_are_the_authors_characters() -> None:
    dom = parse_html("<p title='a&lt;b \"c\" &amp;amp; &nbsp;d'>x &lt; y &amp;lt; z&nbsp;!</p>")
    node = dom.positions("p")[0]
    assert dom.attribute(node, "title") == 'a<b "c" &amp; \u00a0d'
    assert dom.text_of(node) == "x < y &lt; z\u00a0!"


def test_an_attribute_is_found_by_its_whole_name() -> None:
    dom = parse_html("<img data-src=a src=b xsrc=c>")
    assert dom.attribute(dom.positions("img")[0], "src") == "b"


def test_a_value_that_ends_like_an_attribute_is_none() -> None:
    dom = parse_html("<p title=' id=' class=' id='>a</p><p title=' id=' id=b lang=' id='>c</p>")
    assert [dom.attribute(node, "id") for node in dom.positions("p")] == ["", "b"]
    assert [dom.attribute(node, "title") for node in dom.positions("p")] == [" id=", " id="]


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
        pytest.param("<a title='<b>\">' x=\"'>\">t", id="brackets_in_values"),
        pytest.param('<a "b=1 <c d>t<x<y>u', id="names_that_cannot_be_written"),
        pytest.param("a<xmp><b>&amp;</xmp>b<plaintext>c<i>", id="raw_text"),
        pytest.param("a<!-- > --!>b<!-->c<!--->d<!-- <p> -->e", id="comments"),
        pytest.param("<math><mi>x</mi><mspace/></math>y", id="foreign_elements"),
    ],
)
def test_backends_give_the_same_dom(html: str) -> None:
    assert parse_html(html).source == parse_html(html, "beautifulsoup").source


@pytest.mark.parametrize(
    "opening", ["<div>", "<b>", "<div><p>", "<table><tr><td>", "<ul><li>", "<a>"]
)
def test_a_megabyte_of_nested_elements_is_parsed_in_linear_time(opening: str) -> None:
    with hang_guard():
        dom = parse_html(opening * (1_000_000 // len(opening)) + "deepest")
    assert dom.source.count(b"deepest") == 1
    if opening != "<a>":
        assert dom.levels.max() <= 4 * MAX_DEPTH + 8


def test_unclosed_formatting_does_not_multiply() -> None:
    html = "".join(f"<p><b id={number}>x" for number in range(5000))
    dom = parse_html(html)
    assert len(dom.positions("p")) == 5000
    assert len(dom) < 2 * 5000 * (MAX_FORMATTING + 3)


def test_long_menus_cost_linear_time() -> None:
    with hang_guard():
        dom = parse_html("<select>" + "<option>x" * 300_000 + "</select><p>y")
    assert dom.text_of(dom.positions("p")[0]) == "y"


def test_closed_elements_do_not_count_as_depth() -> None:
    html = "<div><span></div>" * 6000 + "<section><h2>end</h2></section>"
    dom = parse_html(html)
    assert len(dom.positions("div")) == 6000
    assert len(dom.positions("h2")) == 1


def test_unterminated_comments_and_scripts_cost_linear_time() -> None:
    with hang_guard():
        parse_html("<!--" * 1_500_000)
        parse_html("<p><script>" * 500_000)


def test_too_many_tags_are_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dom_module, "MAX_TAGS", 100)
    for backend in BACKENDS:
        with pytest.raises(PageTooLargeError, match="more than 100"):
            parse_html("<p>x" * 200, backend)


@pytest.mark.parametrize("attributes", [" a{}", " a{}=b", " a{}='b c'"])
def test_a_flood_of_attributes_is_a_typed_error(attributes: str) -> None:
    flood = "".join(attributes.format(number) for number in range(30_000))
    with pytest.raises(PageTooLargeError, match=r"3000[01] attributes"):
        parse_html(f"<p{flood}>x")


def test_a_long_attribute_is_no_flood() -> None:
    source = "data:image/png;base64," + "A" * 50_000
    dom = parse_html(f"<img src='{source}' alt='{'word ' * 9000}'>")
    assert dom.attribute(dom.positions("img")[0], "src") == source


def test_a_comparison_in_a_script_is_no_flood_of_attributes() -> None:
    script = "for(i=0;i<n;i++){" + "x = y + 1; " * 20_000 + "}"
    assert parse_html(f"<script>{script}</script><p>x").positions("p")


def test_a_refusing_backend_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: bytes) -> bytes:
        raise html_parsers.SelectolaxError("no")

    monkeypatch.setattr(html_parsers, "reads_directly", lambda: False)
    monkeypatch.setattr(html_parsers, "_public_lexbor", refuse)
    with pytest.raises(HtmlParseError, match="lexbor: no"):
        parse_html("<b>1<p>2</b>")  # the kernel leaves it to lexbor


def test_unknown_backend_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="lexbor, beautifulsoup"):
        parse_html("", "lxml")

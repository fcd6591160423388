# ruff: noqa: E501 (a case a line reads best)
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import CharsetError
from transforms.charset import decode_html

RUSSIAN = "Привет, мир! Как дела сегодня? Всё хорошо, спасибо большое."
JAPANESE = "これは日本語の文章です。今日はとても良い天気ですね。"
CHINESE = "这是一个中文网页，内容是关于天气的文章。"
FRENCH = "Le café était très bon, déjà à l'été, près de l'hôtel."


def page(text: str, head: str = "") -> str:
    return f"<html><head>{head}<title>t</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("text", "codec", "content_type", "head", "name"),
    [
        pytest.param(FRENCH, "utf-8", None, "", "utf-8", id="utf8_undeclared"),
        pytest.param(FRENCH, "cp1252", "text/html; charset=latin1", "", "windows-1252", id="http"),
        pytest.param(FRENCH, "cp1252", 'text/html;charset="ISO-8859-1"', "", "windows-1252", id="quoted"),
        pytest.param(FRENCH, "cp1252", "text/html; charset=latin-1", "", "windows-1252", id="misspelt"),
        pytest.param(RUSSIAN, "cp1251", None, '<meta charset="windows-1251">', "windows-1251", id="meta"),
        pytest.param(
            RUSSIAN, "koi8-r", None,
            '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r", id="meta_http_equiv",
        ),
        pytest.param(JAPANESE, "cp932", None, "<meta charset=Shift_JIS>", "shift_jis", id="shift_jis"),
        pytest.param(JAPANESE, "euc_jp", "text/html; charset=EUC-JP", "", "euc-jp", id="euc_jp"),
        pytest.param(CHINESE, "gb18030", None, "<meta charset=gb2312>", "gbk", id="gb2312_is_gbk"),
        pytest.param(JAPANESE, "iso2022_jp", None, "<meta charset=iso-2022-jp>", "iso-2022-jp", id="iso_2022_jp"),
        pytest.param(RUSSIAN * 5, "cp1251", None, "", "windows-1251", id="detected"),
        pytest.param(FRENCH, "utf-8-sig", "text/html; charset=koi8-r", "", "utf-8", id="bom_beats_http"),
        pytest.param(RUSSIAN, "utf-16", None, "", "utf-16le", id="utf16_bom"),
        pytest.param(FRENCH, "utf-16-le", None, "", "utf-16le", id="utf16_without_bom"),
        pytest.param(FRENCH, "utf-8", "text/html; charset=iso-8859-1", "", "utf-8", id="latin1_that_is_utf8"),
        pytest.param(CHINESE, "utf-8", None, "<meta charset=gb2312>", "utf-8", id="gb2312_that_is_utf8"),
        pytest.param(FRENCH, "cp1252", "text/html; charset=utf-8", "", "windows-1252", id="utf8_that_is_latin1"),
        pytest.param(
            RUSSIAN, "cp1251", "text/html; charset=utf-8", "<meta charset=windows-1251>", "windows-1251",
            id="meta_where_http_fails",
        ),
        pytest.param(FRENCH, "utf-8", None, "<meta charset=utf-16>", "utf-8", id="utf16_in_ascii_markup"),
        pytest.param(FRENCH, "utf-8", None, "<!-- <meta charset=koi8-r> -->", "utf-8", id="comment_ignored"),
        pytest.param(
            "plain", "ascii", None, '<meta name=description content="charset=koi8-r">', "utf-8", id="other_meta_ignored"
        ),
        pytest.param("plain", "ascii", "text/html; charset=windows-1251", "", "windows-1251", id="ascii_keeps_declared"),
        pytest.param("plain", "ascii", "text/html; charset=bogus", "", "utf-8", id="unknown_label"),
    ],
)  # fmt: skip
def test_decode_html_finds_the_encoding(
    text: str, codec: str, content_type: str | None, head: str, name: str
) -> None:
    html = page(text, head)
    assert decode_html(html.encode(codec), content_type) == (html, name)


def test_decode_html_keeps_utf8_with_a_stray_byte() -> None:
    text, name = decode_html(page(RUSSIAN).encode() + b"\xff", "text/html; charset=utf-8")
    assert name == "utf-8"
    assert RUSSIAN in text
    assert text.count("\ufffd") == 1


def test_decode_html_keeps_utf8_cut_inside_a_character() -> None:
    text, name = decode_html(page(RUSSIAN).encode()[:-30], None)
    assert name == "utf-8"
    assert "Привет, мир" in text


@pytest.mark.parametrize(
    "payload", [bytes(range(32)) * 50, b"\x89PNG\r\n\x1a\n" + b"\x00\x01\x02" * 200]
)
def test_decode_html_of_rubbish_raises(payload: bytes) -> None:
    with pytest.raises(CharsetError, match="characters cannot be decoded"):
        decode_html(payload, None)


def test_decode_html_of_nothing_is_nothing() -> None:
    assert decode_html(b"", None) == ("", "utf-8")


def test_decode_html_removes_nul() -> None:
    assert decode_html(b"<p>a\x00b and more text</p>", None)[0] == "<p>ab and more text</p>"


@given(
    st.binary(max_size=300),
    st.sampled_from([None, "text/html; charset=utf-16", "text/html; charset=big5"]),
)
def test_decode_html_gives_clean_text_or_a_typed_error(
    payload: bytes, content_type: str | None
) -> None:
    try:
        text, name = decode_html(payload, content_type)
    except CharsetError:
        return
    text.encode("utf-8")
    assert "\x00" not in text
    assert name == name.lower()

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import hang_guard
from transforms.caption_flags import (
    FLAG_FIELDS,
    FLAGS,
    ends_in_credit,
    flag_columns,
    flag_text,
    title_parts,
)
from transforms.caption_words import plain

FILE_NAMES = (
    "holiday.jpg", "Holiday in Rome (2).JPEG", "../img/head.png?v=3", "IMG_1234", "img 20190412",
    "DSC00012 (2)", "DSCN0012", "PXL_20210101_101112", "P1610219.jpg", "IMG-20190412-WA0003",
    "Screenshot 2020-01-02 at 10.11.12", "screenshot-2020-01-02",
    "Screenshot_2020-01-02-10-11-12", "Bildschirmfoto 2020-01-02 um 10.11.12",
    "WhatsApp Image 2020-01-02 at 10.11.12", "https://a.example/x", "www.a.example",
    "data:image/gif;base64,R0lGOD", "d41d8cd98f00b204e9800998ecf8427e",
    "550e8400-e29b-41d4-a716-446655440000", "1a2b3c4d5e6f7g8h9i0jk1l2m3n4", "20190412_101112",
    "1000001540", "12345678_10157_n", "300x250", "1920 x 1080 px", "header_bg_2", "my_house",
    "My%20House", "boat-300x200", "boat-scaled", "my-summer-holiday-photo", "x" * 400,
    "This image has an empty alt attribute; its file name is boat.jpg",
)  # fmt: skip
GENERIC = (
    "image", "Photo", "IMAGE 3", "Image 3 of 12", "picture #2", "Logo", "company logo",
    "site logo", "placeholder", "thumbnail", "Featured image", "blog post image",
    "Profile picture of the user", "Photograph of the author.", "alt text", "See caption",
    "refer to caption", "null", "Untitled", "No image available", "*", "...", "→", "12", "7/9",
    ":sunglasses:", "😉", "Bild", "Bild 1 von 5", "Beitragsbild", "Photo d\u2019illustration",
    "Imagen destacada", "foto de portada", "Immagine", "imagem", "Afbeelding", "Изображение",
    "фото 2", "צילום", "صورة", "图片", "图片1", "圖片", "缩略图", "画像", "写真 2", "サムネイル",
    "이미지", "사진1", "รูปภาพ",
)  # fmt: skip
BOILERPLATE = (
    "Click to enlarge", "Click here to view full size", "(click image to enlarge)",
    "Tap the photo to see it in full screen", "Enlarge this image", "View larger image",
    "Open image in new window", "Show Caption", "Loading...", "Please wait", "Advertisement",
    "Share on Facebook", "Share this on Twitter", "Tweet this", "Follow us on Instagram",
    "Facebook", "Read more", "Click for More...", "Source", "Photo credit",
    "Anzeige", "Bild vergrößern", "Klicken zum Vergrößern", "Auf Facebook teilen", "Publicité",
    "Cliquez pour agrandir", "Haz clic para ampliar", "Publicidad", "Clicca per ingrandire",
    "Clique para ampliar", "Klik om te vergroten", "Нажмите, чтобы увеличить", "Реклама",
    "点击查看大图", "分享到微博", "加载中", "クリックすると拡大します", "広告",
    "클릭하면 확대됩니다", "광고", "Photo: A. Bee", "Photo: Ann Bee / Getty Images", "Foto: dpa",
    "Bild: Ann Bee/dpa", "(Photo by Ann Bee/Getty Images)", "Photo by Ann Bee on Unsplash",
    "Image: Move.org", "AFP", "AFP/Getty Images", "Ann Bee via Getty Images",
    "Ann Bee/AFP/Getty Images", "\u00a9 Ann Bee", "\u00a9 2019 Ann Bee", "Copyright Ann Bee",
    "Image courtesy of Ann Bee", "Credit: @annbee", "Фото: Анна Би", "图片来源：新华社",
    "写真：共同通信", "사진=연합뉴스", "Crédits photo : Ann Bee",
)  # fmt: skip
CAPTIONS = (
    "Imagen de Barcelona", "Bild von Berlin", "Foto di Roma", "Image from the Harbour Festival",
    "A boat", "Boat", "A red boat at the quay", "Image of a red boat at the quay",
    "Photo of Ann Bee at the harbour", "Picture of Santiago", "Image of Data Center With Servers",
    "Harbour logo", "Telefunken logo", "Screenshot of the editor", "Icon of a bell",
    "Logo of Oxfam", "state-of-the-art", "merry-go-round", "COVID-19", "Boeing-747", "iPhone 12",
    "F-16", "Apollo 11", "Heinrich-von-Kleist-Straße am Abend", "Saint-Germain-des-Prés",
    "Saint-Germain-des-Prés-Ouest", "Node.js", "www is short for world wide web",
    "The file boat.jpg in an editor", "How to make a gif",
    "Click to enlarge: the old harbour in 1910", "Share of votes by party", "Source of the Nile",
    "The source of the river Rhine", "Loading dock at night", "Advertising in 1910",
    "Twitter users by country", "Photo: a red boat leaves the harbour",
    "Getty Images building in Seattle", "A boat at sea. Photo: A. Bee",
    "Follow us to the harbour", "More boats at sea", "Ein Bild vom Hafen am Morgen",
    "Bild einer Frau", "La imagen de una mujer", "Фото красной лодки", "一艘红色的船",
    "港の赤い船", "항구의 빨간 배", "ภาพเรือสีแดง", "قارب أحمر في الميناء",
)  # fmt: skip


@pytest.mark.parametrize("text", FILE_NAMES)
def test_flag_text_of_a_file_name(text: str) -> None:
    assert flag_text(text) == ["file_name"]


@pytest.mark.parametrize("text", GENERIC)
def test_flag_text_of_a_word_for_a_picture_is_generic(text: str) -> None:
    assert "generic" in flag_text(text)
    assert "file_name" not in flag_text(text)


@pytest.mark.parametrize("text", BOILERPLATE)
def test_flag_text_of_a_control_or_a_credit_is_boilerplate(text: str) -> None:
    assert "boilerplate" in flag_text(text)


@pytest.mark.parametrize("text", CAPTIONS)
def test_flag_text_of_a_caption_is_empty(text: str) -> None:
    assert flag_text(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A boat at sea. Photo: A. Bee", True),
        ("A boat at sea (AFP)", True),
        ("A boat at sea (Photo: Ann Bee/AFP)", True),
        ("A boat at sea. \u00a9 Ann Bee", True),
        ("A boat at sea. Ann Bee via Getty Images", True),
        ("Photo: A. Bee", True),
        ("A boat at sea", False),
        ("A boat (red) at sea", False),
        ("A boat (the Anna)", False),
        ("The source: a spring below the town", False),
    ],
)
def test_ends_in_credit(text: str, expected: bool) -> None:
    assert ends_in_credit(text) is expected


@given(st.text(max_size=400))
def test_flags_are_known_and_in_order(text: str) -> None:
    flags = flag_text(text)
    assert flags == [name for name in FLAGS if name in flags]
    assert ends_in_credit(text) in (True, False)


@pytest.mark.parametrize(
    "text",
    ["a-" * 2000, "Photo: " * 600, "Ann/" * 1000, "click " * 700, "a_" * 2000, "photo by " * 500,
     "A, " * 1300, "(" * 4000, "a1" * 2000, "image-" * 600, "share on " * 400],
)  # fmt: skip
def test_flags_of_a_hostile_text_take_linear_time(text: str) -> None:
    with hang_guard():
        for part in (100 * text, text, text[:300], text[:120]):
            flag_text(part)
            ends_in_credit(part)


def test_plain_leaves_words_and_never_nothing() -> None:
    assert plain("  A  Red-Boat, (2)! ") == "a red boat 2"
    assert plain("STRASSE") == plain("Straße")
    assert plain(" *** ") == "***"


def test_title_parts_are_titles_and_what_stands_between_bars() -> None:
    parts = title_parts(["Boats \u2013 a guide | Harbour", ""])
    assert parts == {"boats a guide harbour", "boats", "a guide", "harbour"}
    assert title_parts(["Twenty-one boats"]) == {"twenty one boats"}


def test_flag_columns_are_one_for_each_flag() -> None:
    flags = pa.chunked_array(
        [[["generic"], []], [["file_name", "repeated"]]], pa.list_(pa.string())
    )
    columns = flag_columns(flags)
    assert list(columns) == [field.name for field in FLAG_FIELDS]
    assert columns["flag_generic"].to_pylist() == [True, False, False]
    assert columns["flag_file_name"].to_pylist() == [False, False, True]
    assert columns["flag_repeated"].to_pylist() == [False, False, True]
    assert columns["flag_boilerplate"].to_pylist() == [False, False, False]


def test_flag_columns_of_a_slice_are_those_of_its_rows() -> None:
    flags = pa.chunked_array([pa.array([["generic"], [], ["repeated"]], pa.list_(pa.string()))])
    assert flag_columns(flags.slice(1))["flag_repeated"].to_pylist() == [False, True]
    assert flag_columns(flags.slice(1))["flag_generic"].to_pylist() == [False, False]
    assert flag_columns(flags.slice(3))["flag_generic"].to_pylist() == []

"""Pictures that are advertisements by their address or their sides."""

import pytest

from transforms.image_adverts import is_advertisement


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/adserver/a.jpg",
        "https://x.example/adserve/;ID=1;size=300x250",
        "https://x.example/display-ad/1-2",
        "https://x.example/www/delivery/avw.php?zoneid=1",
        "https://x.example/delivery/ai.php",
    ],
)
def test_script_of_a_server_gives_advertisements_whatever_is_said_of_them(url: str) -> None:
    assert is_advertisement(url, "Oars for everyone", None, None)


@pytest.mark.parametrize(
    "url",
    [
        "https://ads.example.com/a.jpg",
        "http://ad.example.com/a.jpg",
        "https://adserver.example.com/a.jpg",
        "https://banners.example.com/a.jpg",
        "https://x.example/up/oars_468x60.gif",
        "https://x.example/up/728x90-v1.jpg?a=b",
        "https://x.example/1234/160x600.jpg",
    ],
)
def test_server_and_name_of_advertisements_speak_where_nothing_is_said(url: str) -> None:
    assert is_advertisement(url, None, None, None)
    assert not is_advertisement(url, "Map of the ozone layer", None, None)


@pytest.mark.parametrize("folder", ["ads", "adimages", "ad-images", "adimg", "sponsor", "sponsors"])
def test_folder_of_advertisements_holds_them_unless_they_are_described(folder: str) -> None:
    url = f"https://x.example/img/{folder}/a.jpg"
    assert is_advertisement(url, None, None, None)
    assert not is_advertisement(url, "A poster of 1911", None, None)


@pytest.mark.parametrize(("width", "height"), [(728, 90), (160, 600), (320, 50)])
def test_sides_of_a_banner_are_those_of_an_advertisement(width: int, height: int) -> None:
    assert is_advertisement("https://x.example/a.jpg", None, width, height)
    assert not is_advertisement("https://x.example/a.jpg", None, height, width)
    assert not is_advertisement("https://x.example/a.jpg", "A totem pole", width, height)


@pytest.mark.parametrize(
    "url",
    [
        "https://adsoftheworld.example/a.jpg",
        "https://ad.example/a.jpg",
        "https://x.example/wall-970x250.jpg",
        "https://x.example/uploads/a.jpg",
        "https://x.example/heads/a.jpg",
        "https://x.example/ads.jpg",
        "https://x.example/delivery/van.jpg",
        "https://x.example/delivery/avw.phpx",
        "https://x.example/a-1728x90.jpg",
        "https://x.example/a-728x900.jpg",
        "https://x.example/728x90/a.jpg",
        "https://x.example/a-300x250.jpg",
    ],
)
def test_address_that_is_only_like_one_says_nothing(url: str) -> None:
    assert not is_advertisement(url, None, 300, 250)

"""Pictures that are advertisements by the address they are served from, or by their sides.

The words are those that servers of advertisements and the folders of sites have in their paths, the
sides those of the banners of the Interactive Advertising Bureau (IAB ad unit guidelines). Pictures
that are described are left alone, but for what a script of such a server gives: newspapers are
named `ad`, telescopes have pages at `ads`, and pages about posters show posters.
"""

import re

_SERVER = re.compile(r"https?://(?:ads?|adserv(?:er|e|ing)|banners?)\.[^/.]+\.[^/]")
_SCRIPT = re.compile(r"/(?:adserv(?:er|e|ing)|display-ads?)/|/delivery/(?:avw|ai)\.php(?:\?|$)")
"""What nothing but advertisements is served from: OpenX and Revive have `/www/delivery/avw.php`."""
_FOLDER = re.compile(r"/(?:ads|adimages|ad-images|adimg|sponsors?)/")
"""Where pictures may lie that are shown for their own sake: these are described."""
_SIDES = frozenset({(468, 60), (728, 90), (970, 90), (160, 600), (120, 600), (234, 60), (320, 50)})
_NAMED_SIDES = frozenset(f"{width}x{height}" for width, height in _SIDES)
_PAIR = re.compile(r"\d+x\d+")


def is_advertisement(url: str, alt: str | None, width: int | None, height: int | None) -> bool:
    """Whether a picture is an advertisement.

    Args:
        url: Where it is, absolute.
        alt: What the page says in place of it.
        width: The width it declares, in CSS pixels.
        height: The height.
    """
    if _SCRIPT.search(url):
        return True
    if alt:
        return False
    if (width, height) in _SIDES or _SERVER.match(url) or _FOLDER.search(url):
        return True
    file = url[url.rfind("/") :]
    return "x" in file and not _NAMED_SIDES.isdisjoint(_PAIR.findall(file))

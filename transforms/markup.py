"""Characters of a page as clean lines, and the light markup of code and table rows."""

import re
from collections.abc import Sequence

_REMOVED = re.compile("[\u00ad\u200b\u2060\ufeff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_FENCE = re.compile(r"`{3,}")


def word_set(words: str) -> frozenset[str]:
    """The words of a line, as a set."""
    return frozenset(words.split())


def clean_text(text: str) -> str:
    """One line: white space collapsed; soft hyphens, zero-width and control characters removed."""
    text = text.strip()
    # No character that goes, and no white space but a blank, is printable.
    if text.isprintable() and "  " not in text:
        return text
    text = " ".join(text.split())
    return text if text.isprintable() else " ".join(_REMOVED.sub("", text).split())


def clean_code(text: str) -> str:
    """Text of a `pre`: white space kept but for blank first and last lines and line ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    lines = [_REMOVED.sub("", line).rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    first = next((number for number, line in enumerate(lines) if line), 0)
    return "\n".join(lines[first:])


def fenced_code(text: str, language: str) -> str:
    """Code between fences that are longer than any run of backticks in it."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def table_lines(cells: Sequence[str], header: bool) -> list[str]:
    """A row of a table, with the rule below it where it is the header; none for an empty row."""
    cleaned = [clean_text(cell).replace("|", "\\|") for cell in cells]
    if not any(cleaned):
        return []
    lines = ["| " + " | ".join(cleaned) + " |"]
    if header:
        lines.append("|" + " --- |" * len(cleaned))
    return lines

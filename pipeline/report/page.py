"""The page of a report: one file that opens from disk and asks nobody for anything.

The numbers stand in the page as JSON that no parser of HTML can leave: `<`, `>` and `&` are
escaped, so a text of the crawl is a value and never markup. The page's own script and style are
allowed by their hashes, everything else is refused by its Content-Security-Policy: no other script,
no network, pictures only as `data:`.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

STYLES = ("base.css", "charts.css", "galleries.css")
SCRIPTS = (
    "format.js",
    "dom.js",
    "tooltip.js",
    "chart_frame.js",
    "text_width.js",
    "charts.js",
    "histogram.js",
    "sankey.js",
    "sankey_layout.js",
    "overview.js",
    "funnel.js",
    "distributions.js",
    "domains.js",
    "recipe_lines.js",
    "explorer_counts.js",
    "explorer_rules.js",
    "explorer.js",
    "galleries.js",
    "rules.js",
    "captions.js",
    "documents.js",
    "clusters.js",
    "slices.js",
    "answers.js",
    "stages.js",
    "report.js",
)
"""Files of `static/` in the order in which they stand in the page."""

_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
_SLOT = re.compile(r"@([a-z]+)@")


def render_page(report: dict[str, Any], links: Mapping[str, str] | None = None) -> str:
    """The page that shows a report.

    Args:
        report: The report, version 1. Strings may be any text.
        links: Label -> address, of links to put above it; by default none.

    Returns:
        HTML of about the size of the report's JSON and 120 kB; UTF-8 can encode it.

    Raises:
        ValueError: A number of the report is NaN or infinite.
    """
    style = "".join(static_text(name) for name in STYLES)
    script = one_script(static_text(name) for name in SCRIPTS)
    policy = page_policy(style, script, "img-src data:")
    above = "".join(
        f'<a href="{html.escape(address)}">{html.escape(label)}</a>'
        for label, address in (links or {}).items()
    )
    slots = {
        "policy": policy,
        "title": html.escape(_printable(str(report.get("title") or "corpus"))),
        "style": style,
        "links": f'<p class="links wide">{above}</p>\n' if above else "",
        "data": _json_for_html(report),
        "script": script,
    }
    return fill_slots(static_text("report.html"), slots)


def static_text(name: str, package: str = "pipeline.report") -> str:
    """A file of the folder `static` of a package."""
    return (files(package) / "static" / name).read_text(encoding="utf-8")


def one_script(scripts: Iterable[str]) -> str:
    """Scripts as one that leaves no name in the page."""
    return '"use strict";\n(() => {\n' + "".join(scripts) + "})();\n"


def page_policy(style: str, script: str, *more: str) -> str:
    """The Content-Security-Policy that allows this style and script, and what more it names."""
    own = (f"script-src {_hash_source(script)}", f"style-src {_hash_source(style)}")
    return "; ".join(("default-src 'none'", *own, *more, "base-uri 'none'", "form-action 'none'"))


def fill_slots(template: str, slots: Mapping[str, str]) -> str:
    """A template with its slots (`@style@`, ...) filled; what stands in a slot has none."""
    return _SLOT.sub(lambda slot: slots[slot[1]], template)


def _hash_source(text: str) -> str:
    """The source expression of CSP that allows exactly this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _json_for_html(value: Any) -> str:
    """JSON that means the same inside a script element, whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _printable(text: str) -> str:
    """The text without what UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()

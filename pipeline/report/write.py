"""OUT/report: index.html, which opens from a disk, and the same facts as report.json."""

import json
from dataclasses import dataclass

from pipeline.report.facts import Say, report_facts
from pipeline.report.page import render_page
from pipeline.report.standing import made_of, report_identity, report_urls
from transforms import storage


@dataclass(frozen=True)
class Written:
    """A report that stands in an output."""

    page: str
    """URL of index.html."""
    size: int
    """Bytes of index.html."""
    is_new: bool
    """Whether it was made now; False of one that tells of this very run already."""


def write_report(output: str, say: Say = lambda line: None, again: bool = True) -> Written:
    """Write the report of an output.

    Args:
        output: An output of `run`.
        say: Is told what is done, a line each.
        again: Whether to write it where it stands already and nothing has changed.

    Raises:
        InputError: As `report_facts`.
    """
    page_url, facts_url = report_urls(output)
    identity = report_identity(output)
    page = None if again else storage.read_bytes(page_url)
    if page is not None and made_of(storage.read_bytes(facts_url)) == identity:
        return Written(page_url, len(page), is_new=False)
    facts = {"made_of": identity, **report_facts(output, say)}
    page = render_page(facts).encode()
    # ASCII: a text of the crawl may hold half of a pair of surrogates.
    text = json.dumps(facts, allow_nan=False, separators=(",", ":"))
    # The page last: who finds one may trust the facts beside it.
    storage.write_bytes(facts_url, text.encode())
    storage.write_bytes(page_url, page)
    return Written(page_url, len(page), is_new=True)

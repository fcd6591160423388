"""Rows that tell which paragraphs a site repeats."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepeatedParagraph:
    """A paragraph that stands on too many pages of its site, or a heading left with nothing."""

    id: str
    """`doc_id` or `text_id`."""
    node: int
    """Of a document the position of the node, of a text that of the paragraph, from 0."""
    pages: int
    """Distinct pages of the site that it stands on; of a heading that stands on fewer, the fewest
    of what stood under it."""
    max_pages: int
    """Pages that it may stand on: one less than `dedup.paragraph_pages`."""

"""Which captions of a part are to be written anew: of those past gate `recaption` one an image.

A page often says several things of one image. The one that would become the sample's text is the
one that is fused; the others stay in its JSON as they are.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.outcomes import OK
from schemas.recaption_rows import WantedRecaption
from schemas.rows import LedgerRow
from schemas.tables import schema_of
from transforms.assign import AssignFiles, read_captions
from transforms.caption_choice import chosen_rows
from transforms.gates import RowGate, evaluate, ledger_rows
from transforms.minhash import text_hash
from transforms.pages import rows_with
from transforms.sink import Part, PartSink

STEP_VERSION = 1
GATE = "recaption"
NOT_PREFERRED = "not_preferred"
"""Built-in rule: another caption of the same image and page is asked about."""


@dataclass(eq=False)
class WantRecaptions:
    """Part function: gate `recaption`, and what passes it. A part's spec is its `AssignFiles`."""

    output: str
    gate: RowGate
    prefer: tuple[str, ...]
    """Caption origins, best first."""

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Judge, choose, and write what is wanted."""
        files: AssignFiles = part.spec
        captions = rows_with(read_captions(self.output, files), "outcome", [OK])
        decisions = evaluate(self.gate, captions)
        sink.seen("captions", len(captions))
        sink.count("captions", rejected=decisions.rejected_by_rule())
        ids = captions["caption_id"]
        sink.write("ledger", ledger_rows(GATE, "caption", ids, None, decisions))
        passed = captions.filter(pa.array(decisions.keep))
        best = chosen_rows(passed, self.prefer)
        is_best = best == np.arange(len(best))
        chosen = passed.filter(pa.array(is_best))
        sink.count("captions", kept=len(chosen))
        names = passed["caption_id"].to_pylist()
        for row in np.flatnonzero(~is_best).tolist():
            winner = names[best[row]]
            sink.reject(
                "captions",
                LedgerRow(GATE, "caption", names[row], None, NOT_PREFERRED, True, None, winner,
                          "preferred"),
            )  # fmt: skip
        order = [("image_key", "ascending"), ("caption_id", "ascending")]
        chosen = chosen.sort_by(order)
        kept = ("caption_id", "image_key", "pack", "offset", "size", "text", "language")
        columns = {name: chosen[name] for name in kept}
        texts = chosen["text"].to_pylist()
        columns["text_hash"] = pa.array([text_hash(text) for text in texts], pa.string())
        schema = schema_of(WantedRecaption)
        rows = pa.table([columns[name] for name in schema.names], schema=schema)
        sink.write("wanted_recaptions", rows)

"""Pictures with alt texts in a pack, and the plan that asks for their captions."""

import io
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.demo.credits import make_credit, with_credit
from pipeline.demo.images import SIZES
from pipeline.demo.scenes import caption, draw_scene, make_scene
from pipeline.demo.words import LISTS
from schemas.recaption_rows import PlannedRecaption, PlannedText
from schemas.tables import schema_of
from transforms.minhash import text_hash
from transforms.packs import PackWriter

PLAN = "plan.parquet"

Item = tuple[bytes, Sequence[str]]
"""A picture's file, and the texts for which captions are wanted."""


def draw_items(count: int) -> list[Item]:
    """Scenes of the demo, each with an alt text that names a person and a number."""
    rng = random.Random("bench recaption")
    items: list[Item] = []
    for _ in range(count):
        scene = make_scene(rng)
        file = io.BytesIO()
        draw_scene(scene, *rng.choice(SIZES)).save(file, "JPEG", quality=90)
        alt = with_credit(rng, caption(scene, rng), make_credit(rng, LISTS["name"]))
        items.append((file.getvalue(), [alt]))
    return items


def write_plan(output: Path, items: Sequence[Item]) -> None:
    """Pack the pictures and write `PLAN`, a row a picture in their order."""
    with PackWriter(str(output), 1 << 30) as packs:
        slots = [packs.add(f"{at:032x}", "jpg", data) for at, (data, _) in enumerate(items)]
        names = packs.close()
    rows = [
        PlannedRecaption(
            f"{at:032x}", names[slot.pack], slot.offset, slot.size, None,
            [PlannedText(text_hash(text), text, "en") for text in texts],
        )
        for at, (slot, (_, texts)) in enumerate(zip(slots, items, strict=True))
    ]  # fmt: skip
    planned = pa.Table.from_pylist([asdict(row) for row in rows], schema_of(PlannedRecaption))
    pq.write_table(planned, output / PLAN)

"""Samples that are laid out column by column say what a plain loop over rows says."""

import itertools
import json
import re
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ids import digest
from schemas.recaption_rows import ALT_ORIGIN, Recaption
from schemas.rows import Sample, TextScore
from schemas.shards import ShardFormat, check_interleaved, image_suffixes, sample_key
from schemas.tables import schema_of
from transforms import json_columns, sample_rows
from transforms.assigned_nodes import ASSIGNED_SCHEMA
from transforms.candidates import CAPTION_SCHEMA, DOCUMENT_SCHEMA, NODE_SCHEMA
from transforms.caption_choice import mixed_origin
from transforms.captioned_samples import captioned_samples
from transforms.interleaved_samples import interleaved_samples
from transforms.json_columns import canonical_json, json_column, list_column, struct_column
from transforms.personal_data import KINDS, Masker
from transforms.sample_rows import SampleConfig, bounds_of
from transforms.scored_rows import ScoreColumns
from transforms.sink import Part, PartSink

SCORES = [field.name for field in schema_of(TextScore) if field.name not in ("id", "language")]
PAGE = ("url", "site", "title", "language", "date")
IMAGE = ("image_url", "image_key", "sha256", "width", "height", "format")
WORDS = (
    "a", "red", "🟥🏽", 'say "so"', "back\\slash", "\x00\x1f\x7f", "<script>", "\u2028", "שלום",
    "me@here.org", "at 93.184.216.34", "{}[],", "line\nbreak\ttab", "é",
)  # fmt: skip
PREFER = ("alt", "figcaption", "title")


def words(rng: Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 9)))


def maybe(rng: Random, value: Any) -> Any:
    return value if rng.random() < 0.7 else None


def score(rng: Random) -> float | None:
    value = rng.choice([0.0, -0.0, 1.0, 1e-9, 2.5e-7, 123456.789, rng.uniform(-1, 1), 0.1234565])
    return maybe(rng, value)  # type: ignore[no-any-return]


def image_facts(rng: Random, number: int) -> dict[str, Any]:
    return {
        "image_url": f"https://i.org/{number}?{words(rng)}", "image_key": f"{number:032x}",
        "sha256": f"{number:064x}", "width": rng.randrange(1, 5000), "height": 7, "format": "JPEG",
        "pack": "packs/p.tar", "offset": rng.randrange(2**40), "size": rng.randrange(2**31),
        "mode": "RGB", "frames": 1, "orientation": rng.randrange(1, 9), "outcome": "ok",
    }  # fmt: skip


def page_facts(rng: Random, number: int) -> dict[str, Any]:
    return {
        "site": f"site{number % 5}.org", "language": "en", "date": f"2024-01-{1 + number % 28:02d}",
        "component": maybe(rng, f"c{number % 4}"),
        "earlier_split": rng.choice([None, None, "train", "validation"]),
    }  # fmt: skip


def split_of(row: dict[str, Any], validation: float) -> str:
    if row["earlier_split"] is not None:
        return str(row["earlier_split"])
    point = int(digest("split", row["component"] or row["site"])[:13], 16) / 16**13
    return "validation" if point < validation else "train"


def place(row: dict[str, Any]) -> dict[str, Any]:
    names = schema_of(Sample).field("images").type.value_type
    return {field.name: row[field.name] for field in names}


def scores(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    if not names:
        return {}
    rounded = {name: None if row[name] is None else round(row[name], 6) for name in names}
    return {"scores": rounded}


def documents(rng: Random, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    pages, nodes = [], []
    for number in range(count):
        page = {
            "id": f"d{number}",
            "url": f"https://s.org/{number}",
            "title": maybe(rng, words(rng)),
        }
        page |= page_facts(rng, number) | {name: None for name in SCORES}
        page |= {"characters": number, "language_score": score(rng), "alpha_word_ratio": score(rng)}
        pages.append(page | {"model": score(rng)})
        kinds = [rng.choice(["text", "image"]) for _ in range(rng.randrange(0, 9))]
        texts = [at for at, kind in enumerate(kinds) if kind == "text"]
        for at, kind in enumerate(kinds):
            node = {"id": page["id"], "node": at * 3, "kind": kind, "text": None}
            node |= dict.fromkeys((*ASSIGNED_SCHEMA.names, "alt", "title", "figcaption"))
            node |= {"clip_score": None}
            if kind == "text":
                nodes.append(node | {"text": words(rng)})
                continue
            node |= {name: maybe(rng, words(rng)) for name in ("alt", "title", "figcaption")}
            node |= image_facts(rng, rng.randrange(50)) | {"clip_score": score(rng)}
            if texts and rng.random() < 0.7:
                assigned = (rng.choice(texts) * 3, rng.randrange(2), rng.uniform(-1, 1))
                node |= dict(zip(ASSIGNED_SCHEMA.names, assigned, strict=True))
            nodes.append(node)
    rng.shuffle(nodes)
    return pages, nodes


def plain_interleaved(
    pages: list[dict[str, Any]], nodes: list[dict[str, Any]], config: SampleConfig, masker: Masker
) -> list[dict[str, Any]]:
    """The samples of documents, one by one."""

    def masked(text: str | None) -> str | None:
        return None if text is None else masker.mask(text)

    def at(node: dict[str, Any]) -> tuple[Any, ...]:
        if config.order == "natural" or node["kind"] == "text":
            return (node["node"], 3)
        if node["assigned_node"] is None:
            return (node["node"], 1)
        return (
            node["assigned_node"], 2, node["assigned_unit"], -node["assigned_score"], node["node"]
        )  # fmt: skip

    found = []
    for page in pages:
        mine = sorted((node for node in nodes if node["id"] == page["id"]), key=at)
        places = {node["node"]: index for index, node in enumerate(mine) if node["kind"] == "text"}
        images = [node for node in mine if node["kind"] == "image"]
        suffixes = iter(image_suffixes("interleaved", len(images), "jpg"))
        info = []
        for image in images:
            facts = {name: image[name] for name in IMAGE}
            facts |= {name: masked(image[name]) for name in ("alt", "title", "figcaption")}
            known = image["assigned_score"]
            facts |= {
                "text_index": places.get(image["assigned_node"]),
                "assigned_unit": image["assigned_unit"],
                "assigned_score": None if known is None else round(known, 6),
            }
            info.append(facts | scores(image, ("clip_score",)))
        texts = [masked(node["text"]) for node in mine]
        key = sample_key("interleaved", page["id"])
        layout = {
            "key": key, "doc_id": page["id"], **{name: page[name] for name in PAGE},
            "title": masked(page["title"]), "texts": texts,
            "images": [next(suffixes) if node["kind"] == "image" else None for node in mine],
            "image_info": info, "scores": {name: page[name] for name in (*SCORES, "model")},
        }  # fmt: skip
        found.append(
            {
                "stream": "interleaved", "split": split_of(page, config.validation), "shard": 0,
                "key": key, "txt": None, "json": layout,
                "text_length": sum(len(text) for text in texts if text),
                "images": [place(image) for image in images],
            }
        )  # fmt: skip
    return found


def captions(rng: Random, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows, written = [], []
    for number in range(count):
        page = number // 3
        row = image_facts(rng, rng.randrange(4)) | page_facts(rng, page)
        row |= {
            "caption_id": f"{rng.randrange(2**32):032x}", "doc_id": f"d{page:04d}",
            "node": rng.randrange(4), "origin": rng.choice(["alt", "title", "figcaption", "table"]),
            "text": words(rng), "page_url": f"https://s.org/{page}",
            "page_title": maybe(rng, words(rng)), "clip_score": score(rng), "area": score(rng),
        }  # fmt: skip
        rows.append(row)
        if rng.random() < 0.4:
            origin = rng.choice(["fuse", "describe", ALT_ORIGIN])
            written.append(
                {"caption_id": row["caption_id"], "text": words(rng), "origin": origin,
                 "prompt": "v1", "model": "m", "outcome": "ok", "problems": ["loop"] * (number % 2)}
            )  # fmt: skip
    return rows, written


def plain_captioned(
    rows: list[dict[str, Any]],
    written: list[dict[str, Any]],
    config: SampleConfig,
    masker: Masker,
) -> list[tuple[dict[str, Any], str, str]]:
    """The samples of captions, one by one: with the caption chosen and what each is trained on."""
    by_caption = {row["caption_id"]: row for row in written}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["doc_id"], row["node"], row["caption_id"])):
        groups.setdefault((row["image_key"], row["doc_id"]), []).append(row)
    found = []
    for (image, page), mine in groups.items():
        first = mine[0]
        key = sample_key("captioned", image, page)
        told, choices, texts = [], [], {}
        for row in mine:
            text = masker.mask(row["text"])
            rank = PREFER.index(row["origin"]) if row["origin"] in PREFER else len(PREFER)
            choices.append((rank, -len(text), row["caption_id"], text))
            entry = {"caption_id": row["caption_id"], "origin": row["origin"], "text": text}
            told.append(entry | scores(row, ("clip_score",)))
        for row in mine:
            if (synthetic := by_caption.get(row["caption_id"])) is not None:
                text = masker.mask(synthetic["text"])
                told.append(synthetic | {"text": text})
                if synthetic["origin"] != ALT_ORIGIN:
                    texts[synthetic["origin"]] = text
        title = first["page_title"]
        facts = {
            "key": key, "doc_id": page, "page_url": first["page_url"],
            "page_title": None if title is None else masker.mask(title), "site": first["site"],
            "language": first["language"], "date": first["date"],
            **{name: first[name] for name in IMAGE}, **scores(first, ("area",)), "captions": told,
        }  # fmt: skip
        chosen = min(choices)
        origin = mixed_origin(key, config.mix, ("original", *texts))
        text = texts.get(origin, chosen[3])
        sample = {
            "stream": "captioned", "split": split_of(first, config.validation), "shard": 0,
            "key": key, "txt": text, "json": facts, "text_length": len(text),
            "images": [place(first)],
        }  # fmt: skip
        found.append((sample, chosen[2], origin))
    return found


def sorted_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert [name for name, _ in pairs] == sorted(name for name, _ in pairs)
    return dict(pairs)


def read(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with their JSON read, which has its keys sorted."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        row["json"] = json.loads(row["json"], object_pairs_hook=sorted_object)
    return rows


def extended(schema: pa.Schema, *names: str) -> pa.Schema:
    return pa.schema([*schema, *(pa.field(name, pa.float64()) for name in names)])


def config_of(order: str = "natural", mask: tuple[str, ...] = ()) -> SampleConfig:
    mix = {"original": 0.5, "fuse": 0.3, "describe": 0.2}
    return SampleConfig(ShardFormat(), PREFER, 0.3, order, mask=mask, mix=mix)


@pytest.mark.parametrize("order", ["natural", "assigned"])
@pytest.mark.parametrize("mask", [(), KINDS])
@pytest.mark.parametrize(("rows", "piece"), [(4096, 8 << 20), (4096, 20_000), (3, 1000)])
def test_interleaved_samples_are_those_of_a_plain_loop(
    order: str, mask: tuple[str, ...], rows: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_rows, "_ROWS", rows)
    monkeypatch.setattr(json_columns, "MAX_BYTES", piece)
    pages, nodes = documents(Random(order), 60)
    config, masker, plain_masker = config_of(order, mask), Masker(mask), Masker(mask)
    table = pa.Table.from_pylist(pages, extended(DOCUMENT_SCHEMA, "model"))
    node_schema = extended(pa.schema([*NODE_SCHEMA, *ASSIGNED_SCHEMA]), "clip_score")
    of_others = [node | {"id": "another"} for node in nodes[:9]]
    node_table = pa.Table.from_pylist([*of_others, *nodes], node_schema)
    made = list(interleaved_samples(table, node_table, config, masker, ("model",), ("clip_score",)))
    assert len(made) == -(-60 // rows)
    found = [row for part in made for row in read(part)]
    assert found == plain_interleaved(pages, nodes, config, plain_masker)
    assert masker.counts == plain_masker.counts
    for row in found:
        check_interleaved(row["json"], image_suffixes("interleaved", len(row["images"]), "jpg"))


@pytest.mark.parametrize("mask", [(), KINDS])
@pytest.mark.parametrize(("rows", "piece"), [(4096, 8 << 20), (4096, 20_000), (7, 1000)])
@pytest.mark.parametrize("recaptioned", [True, False])
def test_captioned_samples_are_those_of_a_plain_loop(
    mask: tuple[str, ...],
    rows: int,
    piece: int,
    recaptioned: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sample_rows, "_ROWS", rows)
    monkeypatch.setattr(json_columns, "MAX_BYTES", piece)
    of_pages, written = captions(Random(rows), 200)
    written = written if recaptioned else []
    config, masker, plain_masker = config_of(mask=mask), Masker(mask), Masker(mask)
    table = pa.Table.from_pylist(of_pages, extended(CAPTION_SCHEMA, "clip_score", "area"))
    made = list(
        captioned_samples(
            table, pa.Table.from_pylist(written, schema_of(Recaption)), config, masker,
            ScoreColumns(("area",), ("clip_score",)), "clip_score",
        )
    )  # fmt: skip
    plain = plain_captioned(of_pages, written, config, plain_masker)
    assert len(made) == -(-len(plain) // rows)
    assert [row for part in made for row in read(part.samples)] == [row for row, _, _ in plain]
    chosen = [name for part in made for name in part.chosen["caption_id"].to_pylist()]
    assert chosen == [name for _, name, _ in plain]
    assert [origin for part in made for origin in part.origins] == [name for *_, name in plain]
    assert ("fuse" in {name for *_, name in plain}) == recaptioned
    assert masker.counts == plain_masker.counts


def test_nothing_gives_nothing() -> None:
    none = captioned_samples(
        CAPTION_SCHEMA.empty_table(), schema_of(Recaption).empty_table(), config_of(), Masker(()),
        ScoreColumns(),
    )  # fmt: skip
    assert list(none) == []
    tables = (DOCUMENT_SCHEMA.empty_table(), NODE_SCHEMA.empty_table())
    assert list(interleaved_samples(*tables, config_of(), Masker(()))) == []


def test_samples_are_counted_by_split(tmp_path: Any) -> None:
    pages, nodes = documents(Random(5), 40)
    schema = pa.schema([*NODE_SCHEMA, *ASSIGNED_SCHEMA])
    tables = (pa.Table.from_pylist(pages, DOCUMENT_SCHEMA), pa.Table.from_pylist(nodes, schema))
    (samples,) = interleaved_samples(*tables, config_of(), Masker(()))
    with PartSink("shard", str(tmp_path), Part("samples-x", "0")) as sink:
        sample_rows.keep_samples(sink, samples)
        sample_rows.keep_samples(sink, samples.slice(0, 0))
        commit = sink.publish()
    sizes: dict[str, list[int]] = {}
    for row in samples.to_pylist():
        total = sizes.setdefault(f"interleaved/{row['split']}", [0, 0])
        total[0] += 1
        total[1] += len(row["json"]) + 1024 + sum(i["size"] + 1024 for i in row["images"])
    assert commit.details == sizes
    assert commit.counts["samples"].seen == commit.counts["samples"].kept == 40


# --- JSON


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))),
        ),
        min_size=1,
    )
)
def test_json_says_what_the_columns_hold(rows: list[tuple[Any, ...]]) -> None:
    texts, numbers, integers, lists = zip(*rows, strict=True)
    items = pa.array([item for found in lists for item in found], pa.string())
    columns = {
        "z": pa.array(texts, pa.string()),
        "number": pa.array(numbers, pa.float64()),
        "in": struct_column(
            {"b": pa.array(integers, pa.int64()), "a": pa.array(texts, pa.string())}
        ),
        "list": list_column(items, np.array([len(found) for found in lists])),
    }
    made = json_column(columns).to_pylist()
    for line, (text, number, integer, found) in zip(made, rows, strict=True):
        plain = {"in": {"a": text, "b": integer}, "list": found, "number": number, "z": text}
        assert json.loads(line) == plain
        assert list(json.loads(line)) == list(plain)


def test_json_has_one_form() -> None:
    entry = struct_column({"text": pa.array(["é\n/"]), "n": pa.array([1.5])})
    members = {"b": pa.array([None], pa.string()), "a": list_column(entry, np.array([1]))}
    assert json_column(members).to_pylist() == ['{"a":[{"n":1.5,"text":"é\\n/"}],"b":null}']


def test_rows_of_any_size_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_columns, "MAX_BYTES", 1000)
    texts = ["é" * size for size in (0, 1, 300, 5000, 10, 499, 501, 2, 3, 90_000)]
    numbers = pa.array(range(10))
    nested = struct_column({"n": numbers, "t": struct_column({"t": pa.array(texts)})})
    columns = {
        "a": numbers,
        "b": pa.array(texts),
        "in": nested,
        "of": list_column(nested, np.array([3, 0, 2, 0, 0, 1, 0, 0, 0, 4])),
    }
    made = json_column(columns).to_pylist()
    objects = [{"n": n, "t": {"t": text}} for n, text in enumerate(texts)]
    ends = [3, 3, 5, 5, 5, 6, 6, 6, 6, 10]
    assert made == [
        canonical_json({"a": n, "b": texts[n], "in": objects[n], "of": objects[begin:end]})
        for n, (begin, end) in enumerate(itertools.pairwise([0, *ends]))
    ]
    assert json_column({"a": pa.array([], pa.string())}).to_pylist() == []


def test_row_may_be_as_large_as_a_page() -> None:
    text = '"' * (64 << 20)  # the largest payload; each character takes two
    (made,) = json_column({"text": pa.array([text])}).to_pylist()
    assert made == '{"text":"' + '\\"' * len(text) + '"}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_number_that_json_lacks_is_refused(value: float) -> None:
    inner = struct_column({"a": pa.array([1.0, value])})
    lists = list_column(inner, np.array([1, 1]))
    few = pa.array([1.0, value]).dictionary_encode()
    for path, column in (("deep.a", inner), ("deep[].a", lists), ("deep", few)):
        with pytest.raises(ValueError, match=re.escape(f"a number of {path} is not finite")):
            json_column({"deep": column, "key": pa.array(["x", "y"])})


def test_column_that_is_not_looked_into_is_refused() -> None:
    column = pa.array([[1.0], [float("nan")]], pa.large_list(pa.float64()))
    with pytest.raises(TypeError, match="deep is a large_list"):
        json_column({"deep": column})


# --- how many at once


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 9))
def test_bounds_hold_all_rows_once_and_no_more_than_memory_bears(
    sizes: list[int], rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_rows, "_ROWS", rows)
        patch.setattr(sample_rows, "_BYTES", 40)
        bounds = list(bounds_of(np.array(sizes, np.int64)))
    assert [row for first, end in bounds for row in range(first, end)] == list(range(len(sizes)))
    for first, end in bounds:
        assert end - first <= rows
        assert end - first == 1 or sum(sizes[first:end]) <= 40

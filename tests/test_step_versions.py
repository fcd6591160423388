"""Golden outputs of every step: whoever changes one must raise its `STEP_VERSION`.

A part is up to date as long as its input, its section of the recipe and the versions of its code
are what they were. So a step that gives other rows under the old number would leave stale parts in
every output. `tests/golden/steps.json` holds a digest of each step's output beside the versions
that made it. When a test here fails: raise the number, then run

    .venv/bin/python tests/test_step_versions.py --update

which refuses to take a new digest under old numbers. Before a release, or after an update of a
library that is known to change an output, `--reset` takes everything as it is.
"""

import base64
import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import recaption_steps
from recaptioner import ladder, validators
from schemas.commits import Commit
from schemas.errors import DataError
from schemas.ids import digest
from schemas.rows import Node, Sample, SampleImage
from schemas.shards import ShardFormat, sample_key
from schemas.tables import to_batch
from tests.language_models import ARPA
from transforms import (
    assign,
    candidates,
    captions,
    cluster_pages,
    clusters,
    component_labels,
    contamination,
    corpus_formats,
    distinct_images,
    document_gate,
    duplicate_keys,
    duplicates,
    earlier,
    extract,
    extract_rows,
    fetch_images,
    fetch_plan,
    fetch_robots,
    gates,
    image_answers,
    image_clusters,
    image_codec,
    image_facts,
    image_frequency,
    input_tables,
    interleave,
    minhash,
    paragraph_scores,
    paragraphs,
    recaption_join,
    recaption_plan,
    recaption_wanted,
    refs,
    sample_rows,
    sampled,
    samples,
    score_items,
    score_pairs,
    score_plan,
    score_wanted,
    select_images,
    shards,
    shingle_sets,
    signed_pages,
    site_paragraphs,
    soft_cap,
    text_models,
    text_ratios,
    text_scores,
    wanted_urls,
    warc,
    write_shards,
)
from transforms.charset import decode_html
from transforms.contamination_items import DecontaminationConfig
from transforms.document_rules import parse_document_gate
from transforms.input_columns import InputConfig
from transforms.input_parquet import ParquetTable
from transforms.input_rows import BadRow, InputDocument
from transforms.input_separated import SeparatedTable
from transforms.pages import PageFiles
from transforms.select_images import KeptFiles
from transforms.sink import Part, PartSink

GOLDEN = Path(__file__).parent / "golden" / "steps.json"

JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVG"
    "ZIhlbXd7gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8"
    "fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAASABgDASIAAhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAAAAQFBv/EACMQ"
    "AAEDBAEEAwAAAAAAAAAAAAEAAhEDBBITIRQiQbExQmH/xAAYAQACAwAAAAAAAAAAAAAAAAAEBQACA//EACYRAAEDAwAL"
    "AQAAAAAAAAAAAAEAAgQRQXEDIzEyM0JEUZGx0fD/2gAMAwEAAhEDEQA/AMehYljgXNgBXNs9kYiYWnSttnbjEq2lZ6vE"
    "ysHyGBha06u5vX9SyvFl7O65LpQytUa7gh59ot99hncVHfEvPj9REiXIAAYARbHlBiWKmpuuXtgMxwryB28IinSOz8T2"
    "LvBRtA2v4+59oiJvoeE3A9IDmOSv/9k="
)
"""24 x 18 pixels."""
TURNED = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/4QBkRXhpZgAATU0AKgAAAAgAAgESAAMAAAABAAYAAIglAAQAAAABAAAAJgAAAAAA"
    "AgABAAIAAAACTgAAAAACAAUAAAADAAAARAAAAAAAAAABAAAAAQAAAAIAAAABAAAAAwAAAAH/2wBDABQODxIPDRQSEBIX"
    "FRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8"
    "U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAASABgDASIAAhEB"
    "AxEB/8QAGAABAAMBAAAAAAAAAAAAAAAAAAMFBgT/xAAiEAABBAEEAgMAAAAAAAAAAAABAAIEERIDEyGxFCIxUWH/xAAX"
    "AQEBAQEAAAAAAAAAAAAAAAAEBQID/8QAJhEAAQIDCAIDAAAAAAAAAAAAAQACEUFxAwQSFCEjM7ExNFHR8P/aAAwDAQAC"
    "EQMRAD8ArNCCWuBc2gFNMh5xHYi6rsK70o25641alkw9qI/i7rsI+YYBhaduOpnH9CS6Nve075gelltCKGtAcKIRX+lA"
    "z9vi/wARIzd4GjACJUlNGs72MOpWbjAZjhTzwPEdx9dhEWmes6v0rbeN1D0ueMBgOERFWs+NtAh2fhf/2Q=="
)
"""24 x 18 pixels that EXIF turns, with a place."""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABQAAAAUCAYAAACNiR0NAAAAQUlEQVR42mOsYGD4z8vAwICJT6CLaUJoCwZ86lkYBBmo"
    "CkYNpIqBJ3BIWeAQx69+NFIGp4HkxSYu9aORMpqXyQAAag8L8MIe00wAAAAASUVORK5CYII="
)
"""20 x 20 pixels, half of them transparent."""
GIF = base64.b64decode(
    "R0lGODdhEAAQAIIAAMLdQy/dbcKRnC+RVsJNSMIRLC9Nay8RciwAAAAAEAAQAEAIcQALCBxIgMCBgwgFCljIsOCAhwMM"
    "SBQwcOBCiRglFgDAsePCACADQBxQUaEAhAkLMGxIYGTGlQs5jgwpoKNHASFzAiip8iTKAzxNosRYoKBRAhcxjoQpwCFE"
    "jExrApgZIKpUqiBtcvyYM6tWAFy7AggIADs="
)
"""16 x 16 pixels."""
IMAGES = {"jpeg": JPEG, "turned": TURNED, "png": PNG, "gif": GIF}

ARTICLE = """<!doctype html><html lang="en-GB"><head><title>The harbour &amp; its boats</title>
<base href="/town/"></head><body><nav><a href="/">Home</a> <a href="/a">About us</a></nav>
<main><article><h1>The harbour</h1><p>Every morning the boats leave the harbour before the sun is
up, and <b>they come back</b> in the evening with what the sea has given them.</p>
<figure><picture><source srcset="big.jpg 800w, huge.jpg 1600w"><img src="boat.jpg" alt="A red boat
at the quay" width="640" height="480"></picture><figcaption>The red boat, at the quay.</figcaption>
</figure><ul><li>Nets<li>Ropes<li>Oars</ul><p>The men who sail them have known each other since they
were at school, and most of them are the sons of those who sailed before.</p><img
data-src="lazy.jpg" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="Three men with a net"
title="The crew"><table><tr><th>Boat</th><th>Length</th></tr><tr><td>Anna</td><td>9 m</td></tr><tr>
<td>Berta</td><td>12 m</td></tr></table><blockquote>The sea is never the same twice, said the oldest
of them, and nobody asked what he meant by it.</blockquote><pre>tide = 4.2</pre><noscript><img
src="still.jpg" alt="The harbour at night"></noscript></article></main><footer>All rights reserved.
</footer></body></html>"""
FORUM = """<div class="post"><p>First line<br>second line<p>Unclosed paragraph with an
entity: &eacute; &#8212; and <i>more</div><img src="//cdn.example/x.png">
<h2>Answers</h2><ol><li>One</li><li>Two<ul><li>Nested</ul>
</ol><script>var a = "<p>no</p>";</script><style>p {}</style><p hidden>secret</p>
<p>Zum Schlu\u00df noch ein l\u00e4ngerer Satz, der zeigt, da\u00df auch andere Sprachen heil
ankommen.</p>"""
TEXTS = {
    "english": "The river runs through the old town, and the people who live there have always "
    "built their houses with their backs to it. In spring it takes what it wants.\n\n- a mill\n"
    "- two gardens\n- the bridge\n\nThey do not complain... They build again.",
    "german": "Der Flu\u00df flie\u00dft durch die alte Stadt, und die Leute, die dort wohnen, "
    "haben ihre H\u00e4user immer mit dem R\u00fccken zu ihm gebaut. Im Fr\u00fchjahr nimmt er "
    "sich, was er will.",
    "chinese": "\u6cb3\u6c34\u6d41\u8fc7\u53e4\u8001\u7684\u57ce\u9547\uff0c\u90a3\u91cc\u7684"
    "\u4eba\u603b\u662f\u628a\u623f\u5b50\u80cc\u5bf9\u7740\u5b83\u5efa\u9020\u3002",
    "repeating": "Buy the best boats here. " * 12 + "\n" + "Buy the best boats here.\n" * 5,
    "symbols": "# # # {x} lorem ipsum ... javascript must be enabled. terms of use ... "
    "cookie policy",
    "empty": "",
}


def response(url: str, date: str, kind: str, body: bytes, *more: str) -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body
    head = "\r\n".join(
        ["WARC/1.1", "WARC-Type: response", f"WARC-Target-URI: {url}", f"WARC-Date: {date}",
         "WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-000000000000>",
         "Content-Type: application/http; msgtype=response", f"Content-Length: {len(http)}", *more]
    )  # fmt: skip
    return head.encode() + b"\r\n\r\n" + http + b"\r\n\r\n"


def date(number: int) -> str:
    return f"2024-05-01T00:00:{number:02d}Z"


def crawl() -> bytes:
    """A plain WARC file with some of everything."""
    site, html = "https://town.example", "text/html; charset=utf-8"
    longer = ARTICLE.replace("Every morning", "Nearly every morning").encode()
    text_page = f"<html><title>River</title><p>{TEXTS['english']}</p></html>".encode()
    german = f"<html><title>Flu\u00df</title><p>{TEXTS['german']}</p></html>".encode("latin-1")
    revisit = (
        f"WARC/1.1\r\nWARC-Type: revisit\r\nWARC-Target-URI: {site}/town/lazy.jpg\r\n"
        f"WARC-Date: {date(7)}\r\nWARC-Payload-Digest: sha1:"
        + base64.b32encode(hashlib.sha1(JPEG).digest()).decode()
        + "\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: 0\r\n\r\n"
        + "\r\n\r\n"
    )
    return b"".join(
        [
            response(f"{site}/one.html", date(1), html, ARTICLE.encode()),
            response(f"{site}/two.html", date(2), html, longer),
            response(f"{site}/one.html", date(1), html, ARTICLE.encode()),
            response(f"{site}/river.html", date(3), html, text_page),
            response(f"{site}/copy.html", date(4), html, text_page),
            response("https://fluss.example/", date(5), "text/html", german),
            response(f"{site}/town/boat.jpg", date(6), "image/jpeg", JPEG),
            response(f"{site}/town/huge.jpg", date(6), "image/jpeg", TURNED),
            response(f"{site}/town/still.jpg", date(6), "image/png", PNG),
            response(f"{site}/town/broken.jpg", date(6), "image/jpeg", JPEG[:200]),
            revisit.encode(),
            response(f"{site}/a.css", date(8), "text/css", b"p {}"),
            response(f"{site}/cut.html", date(9), html, b"<p>cut")[:-9],
        ]
    )


# --- the steps, each as a plain value


def plain(value: Any) -> Any:
    """A value as JSON can hold it, exactly; bytes as their hash."""
    if isinstance(value, bytes):
        return f"sha256:{hashlib.sha256(value).hexdigest()}:{len(value)}"
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray):
        return plain(value.to_pylist())
    if isinstance(value, DataError):
        return [value.error, str(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return plain({"": type(value).__name__, **{n: getattr(value, n) for n in _fields(value)}})
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _fields(value: Any) -> list[str]:
    return list(value.__dataclass_fields__)


def run_warc() -> Any:
    data = crawl()
    members = [gzip.compress(data[:4000], mtime=0), gzip.compress(data[4000:], mtime=0)]
    found = []
    for name, content in (
        ("a.warc", data),
        ("a.warc.gz", b"".join(members)),
        ("b.warc.gz", gzip.compress(response("http://x.example/", date(1), "text/html", b"<p>x"))),
        ("c.warc", b"no crawl at all"),
    ):
        found.append(
            [plain(r) for r in warc.read_records(io.BytesIO(content), name, warc.WarcConfig())]
        )
    return found


def run_interleave() -> Any:
    found = []
    for html in (ARTICLE, FORUM):
        page = interleave.extract_page(html, "https://town.example/p/", interleave.ExtractConfig())
        found.append(
            [page.nodes, captions.find_captions(page.nodes, "d" * 32, "https://town.example/p/")]
        )
    for payload, declared in (
        (TEXTS["german"].encode("latin-1"), None),
        (TEXTS["chinese"].encode("gb18030"), "text/html; charset=gb2312"),
        (b"<meta charset=koi8-r>" + "\u0440\u0435\u043a\u0430".encode("koi8-r"), "text/html"),
    ):
        found.append(list(decode_html(payload, declared)))
    return found


def run_text_scores() -> Any:
    return [text_scores.score_text(name, text) for name, text in TEXTS.items()]


def run_text_models() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        listed, arpa = Path(folder) / "words.txt", Path(folder) / "model.arpa"
        listed.write_text("the\nboats\n")
        arpa.write_text(ARPA)
        models = text_models.TextModels(
            {
                "listed": text_models.TextModelConfig("words", str(listed), language="en"),
                "ppl": text_models.TextModelConfig("perplexity", str(arpa), lower=True),
            }
        )
        texts = list(TEXTS.values())
        scores = models.score(texts, ["en"] * len(texts))
    return [scores, [text_ratios.text_ratios(text, "en") for text in texts]]


def run_image_facts() -> Any:
    config = image_facts.ImageFactsConfig()
    found: list[Any] = [image_facts.read_image_facts(data, config) for data in IMAGES.values()]
    for bad in (JPEG[:200], b"<html>", b""):
        with pytest.raises(DataError) as caught:
            image_facts.read_image_facts(bad, config)
        found.append(type(caught.value).__name__)
    return found


def sample_image(data: bytes) -> SampleImage:
    facts = image_facts.read_image_facts(data, image_facts.ImageFactsConfig())
    return SampleImage(
        facts.sha256[:32], "p.tar", 0, len(data), facts.width, facts.height, facts.format,
        facts.mode, facts.frames, facts.orientation,
    )  # fmt: skip


def run_image_codec() -> Any:
    return [
        [image_codec.prepare_image(data, sample_image(data), fmt) for data in IMAGES.values()]
        for fmt in (ShardFormat(), ShardFormat(max_side=16), ShardFormat(image_format="keep"))
    ]


def run_minhash() -> Any:
    config = minhash.MinHashConfig()
    signed = minhash.signatures(list(TEXTS.values()), config)
    return [
        signed,
        minhash.band_keys(signed, config),
        [minhash.text_hash(t) for t in TEXTS.values()],
    ]


def run_earlier() -> Any:
    ids = [digest("page", number) for number in range(3)]
    caption = {"caption_id": "c", "origin": "alt", "text": "A red boat"}
    facts = json.dumps({"doc_id": ids[1], "image_key": "k", "captions": [caption]})
    keys = [sample_key("interleaved", ids[0]), sample_key("text", ids[2]), sample_key("captioned")]
    with tempfile.TemporaryDirectory() as folder:
        pages = {"id": ids, "url": ["http://a/", "", "http://c/"]}
        samples = {"stream": ["interleaved", "text", "captioned"], "key": keys}
        samples |= {"split": ["train", "validation", "validation"]}
        pq.write_table(pa.table(pages), f"{folder}/signatures.parquet")
        shown = json.dumps({"doc_id": ids[0], "image_info": [{"image_key": "k"}] * 2})
        samples |= {"json": [shown, "", facts]}
        pq.write_table(pa.table(samples), f"{folder}/samples.parquet")
        files = earlier.EarlierFiles(folder, "signatures.parquet", "samples.parquet")
        with PartSink("dedup", f"{folder}/out", Part("earlier", "f" * 16, files)) as sink:
            earlier.ReadEarlier()(sink._part, sink)
            commit = sink.publish()
        return {
            table: pq.read_table(f"{folder}/out/{path}").to_pylist()
            for table, found in sorted(commit.files.items())
            for path in found.values()
        }


def run_clusters() -> Any:
    config = minhash.MinHashConfig(ngram=2)
    text = TEXTS["english"]
    pages = [
        ("a" * 32, date(1), text, "http://x/"),
        ("b" * 32, date(2), text, "http://y/"),
        ("c" * 32, date(3), text.replace("mill", "boat"), "http://z/"),
        ("d" * 32, date(3), TEXTS["german"], "http://x/"),
        ("e" * 32, date(4), TEXTS["chinese"], "http://w/"),
    ]
    ids = [page[0] for page in pages]
    signed = minhash.signatures([page[2] for page in pages], config)
    rows = duplicate_keys.key_rows(
        0, ids, [minhash.text_hash(page[2]) for page in pages], [page[3] for page in pages],
        signed, config,
    )  # fmt: skip
    pairs = duplicate_keys.pairs_of_keys(rows)
    members = pa.table(
        {
            "id": ids,
            "date": [page[1] for page in pages],
            "length": [len(page[2]) for page in pages],
        }
    )
    chain = [("near_text", 0, 1), ("near_text", 1, 2), ("url", 0, 3), ("near_text", 3, 4)]
    edges = pa.table(
        {
            "kind": [kind for kind, _, _ in chain],
            "a": [ids[a] for _, a, _ in chain],
            "b": [ids[b] for _, _, b in chain],
            "similarity": [1.0 if kind == "url" else 0.9 for kind, _, _ in chain],
        }
    )

    def compare(wanted: pa.Array) -> clusters.Similarity:
        values = signed[[ids.index(page_id) for page_id in wanted.to_pylist()]]
        return lambda at: minhash.estimate_similarity(values[at[:, 0]], values[at[:, 1]])

    built = clusters.build_clusters(members, edges, compare, 0.5)
    known = minhash.TokenHashes()
    sets = [shingle_sets.shingle_set(page[2], config, known) for page in pages]
    exact = [shingle_sets.jaccard(sets[0], other) for other in sets]
    by_text = duplicate_keys.key_rows(
        0, ids, [minhash.text_hash(page[2]) for page in pages], [page[3] for page in pages],
        signed, config, minhash.sign([page[2] for page in pages], config)[1],
    )  # fmt: skip
    return [rows, pairs, built.rows, built.cut_components, built.cut_pages, sets, exact, by_text]


def run_gates() -> Any:
    rows = pa.table(
        {
            "id": [f"{number:02d}" for number in range(6)],
            "width": [100, 200, 300, None, 0, 640],
            "score": [0.5, float("nan"), 0.25, 1.0, float("inf"), 0.75],
            "language": ["en", "de", None, "fr", "en", ""],
        }
    )
    gate = gates.parse_gate(
        {
            "wide": {"value": "width", "min": 200},
            "share": {"value": "score / width", "max": 0.01},
            "language": {"value": "language", "in": ["en", "de"]},
            "either": "width > 250 OR score >= 0.5",
            "best": {"value": "score", "top_fraction": 0.5, "over": "all"},
        },
        "gates.test",
    )
    gates.check_gate(gate, rows.schema, "gates.test")
    cutoffs = gates.find_cutoffs(gate, lambda: iter([(rows, rows["id"])]))
    decisions = gates.evaluate(gate, rows, cutoffs, rows["id"])
    ledger = gates.ledger_rows("g", "caption", rows["id"], None, decisions)
    return [decisions.keep, decisions.rejected_by_rule(), ledger]


def run_document_gate() -> Any:
    documents = pa.table({"id": ["a", "b", "c"], "words": [50, 20, 5], "language": ["en"] * 3})
    nodes = [
        ("a", 0, "text", 40, None, None),
        ("a", 1, "image", None, "ok", 640),
        ("a", 2, "image", None, "ok", 20),
        ("a", 3, "text", 10, None, None),
        ("b", 0, "image", None, "missing", None),
        ("b", 1, "text", 20, None, None),
        ("c", 0, "image", None, "ok", 640),
        ("c", 1, "text", 5, None, None),
    ]
    names = ("id", "node", "kind", "words", "outcome", "width")
    table = pa.table({name: [row[at] for row in nodes] for at, name in enumerate(names)})
    table = table.append_column("characters", pa.array([(row[3] or 0) * 5 for row in nodes]))
    table = table.append_column(
        "image_key",
        pa.array([f"{at}" if row[2] == "image" else None for at, row in enumerate(nodes)]),
    )
    table = table.append_column(
        "text", pa.array(["word " * row[3] if row[3] else None for row in nodes], pa.string())
    )
    table = table.append_column("image_url", table["image_key"])
    gate = parse_document_gate(
        {
            "image": {"wide": {"value": "width", "min": 100}},
            "paragraph": {"long": {"value": "words", "min": 8}},
            "document": {
                "images": {"value": "images", "min": 1},
                "words": {"value": "words", "min": 10},
            },
        },
        "gates.test",
    )
    document_gate.check_document_gate(gate, documents.schema, table.schema, "gates.test")
    decided = document_gate.evaluate_documents(gate, documents, table)
    return [
        decided.documents.keep, decided.node_keep, decided.no_image,
        decided.ledger("shard.interleaved", documents, table),
    ]  # fmt: skip


def run_sampled() -> Any:
    samples = [
        Sample("captioned", "train", 0, f"{number:032x}", "a caption", f'{{"n":{number}}}', 9, [])
        for number in range(12)
    ]
    config = soft_cap.SamplingConfig("w", draws=10)
    with tempfile.TemporaryDirectory() as folder:
        with PartSink("shard", folder, Part("samples-x", "0")) as sink:
            weights = [None, *(number / 4 for number in range(11))]
            rows = pa.Table.from_batches([to_batch(samples, Sample)])
            sample_rows.write_pool(sink, rows, pa.chunked_array([weights]))
            pool = sink.publish().file(sample_rows.POOL)
        assert pool is not None
        cutoff = sampled.find_pool_draws(folder, [pool], config)
        with PartSink("shard", folder, Part("sampling-x", "0", pool)) as sink:
            sampled.DrawSamples(folder, config, cutoff)(Part("sampling-x", "0", pool), sink)
            commit = sink.publish()
        return _tables(folder, commit)


def _tables(folder: str, commit: Commit) -> list[Any]:
    """The rows of all tables that a part has made."""
    return [
        (table, pq.read_table(f"{folder}/{path}").to_pylist())
        for table, files in sorted(commit.files.items())
        for path in files.values()
    ]


def run_contamination() -> Any:
    """What small tables are known by, and what of a part holds an item of them."""
    with tempfile.TemporaryDirectory() as folder:
        items = [
            {"id": 1, "question": TEXTS["english"], "sha256": "ab" * 32, "phash": 0x0F0F3C3C},
            {"id": 2, "question": TEXTS["german"]},
            {"id": 3, "question": "Too short."},
        ]
        table = Path(folder) / "quiz.jsonl"
        table.write_text("".join(json.dumps(item) + "\n" for item in items))
        captions = {
            "caption_id": ["a", "b"], "page_url": ["http://x/"] * 2,
            "text": [TEXTS["english"][:150], "A boat"],
        }  # fmt: skip
        (Path(folder) / "captions").mkdir()
        pq.write_table(pa.table(captions), Path(folder) / "captions" / "a.parquet")
        build = contamination.BuildEvaluation(DecontaminationConfig(ngram=8))
        found: list[Any] = []
        with PartSink("dedup", folder, Part("evaluation-all", "f", (str(table),))) as sink:
            build(Part("evaluation-all", "f", (str(table),)), sink)
            known = sink.publish()
        files = {name: next(iter(paths.values())) for name, paths in known.files.items()}
        match = contamination.MatchTexts(
            folder,
            contamination.EvaluationFiles(files["evaluation_texts"], files["evaluation_ngrams"]),
            0.2,
        )
        match.setup()
        pages = PageFiles("a", None, None, "captions/a.parquet", None, None)
        with PartSink("dedup", folder, Part("contamination-a", "f")) as sink:
            match(Part("contamination-a", "f", KeptFiles(pages, None, None, None)), sink)
            matched = sink.publish()
        for commit in (known, matched):
            found.append([commit.details, commit.facts])
            for name, paths in sorted(commit.files.items()):
                found.append([name, pq.read_table(Path(folder) / next(iter(paths.values())))])
        matcher = contamination.ImageMatcher(folder, files["evaluation_images"], 2)
        for row in matcher.find("http://x/1.png", None, 0x0F0F3C3D):
            found.append([row, matcher.refused(row)])
        return found


def run_paragraphs() -> Any:
    """Cut, compared and removed; a heading, code and a colon among them."""
    found = []
    for text in (
        "# Boats\n\nRead  more\nhere\n \n## Share\n\nFollow us:\n\n- a\n- b",
        "````\nread more\n\nhere\n````\nAfter\n\nRead more here\n\n# Boats",
    ):
        pieces = site_paragraphs.text_pieces(text)
        keys = [paragraphs.piece_keys("a.example", piece) for piece in pieces]
        counts = {key: paragraphs.Repeated(3 + n, n % 2) for n, (key, *_) in enumerate(keys) if key}
        del counts[next(key for key, *_ in keys[1:2])]
        same = {key: paragraphs.Repeated(4, 0) for (key, *_) in keys if key}
        for some, page in ((counts, 1), (counts, 2), ({}, 0), (same, 0), (same, 1)):
            repeated = paragraphs.repeats("a.example", pieces, some, page)
            gone = paragraphs.removals(pieces, repeated)
            left = paragraphs.shorten(pieces, gone.__contains__)
            found.append([pieces, keys, sorted(gone.items()), left])
    rows = pa.table({"part": [0, 0, 1], "key": [b"x", b"y", b"x"], "page": [1, 1, 2]})
    found.append([[name, table] for name, table in site_paragraphs.CountPages(2)("meet 0", rows)])
    return found


def run_shards() -> Any:
    images = {sample_image(data).image_key: data for data in IMAGES.values()}
    rows = []
    for number, data in enumerate((JPEG, TURNED, PNG)):
        key = sample_key("captioned", str(number))
        facts = json.dumps({"key": key, "n": number})
        rows.append(
            Sample(
                "captioned", "train", 0, key, f"caption {number}", facts, 9, [sample_image(data)]
            )
        )
    out = io.BytesIO()
    result = shards.write_shard(
        sorted(rows, key=lambda row: row.key), lambda image: images[image.image_key], ShardFormat(),
        out, lambda sample, error: pytest.fail(f"{sample.key}: {error}"),
    )  # fmt: skip
    return [asdict(result), out.getvalue()]


CSV = (
    "URL,TEXT,LICENSE,WIDTH,SAMPLE_ID\n"
    'http://a.example/1.jpg,"A boat,\nand a quay",CC BY 4.0,640.0,7\n'
    "HTTP://a.example/%7Ex/2.jpg,Red roofs,?,,8\n"
    "ftp://a.example/3.jpg,Blue,,,9\n"
    "http://a.example/4.jpg,  ,,,10\n"
    "http://a.example/5.jpg,too few\n"
)
JSON_LINES = (
    '{"id": 1, "image_url": "http://a.example/1.jpg", "caption": "A boat", "page_url": "http://b/"}\n'
    '{"id": 2, "image_url": ["http://a.example/2.jpg"], "caption": "A list"}\n'
    "no JSON\n"
)


def table_rows() -> list[Any]:
    found: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, content, reader in (
            ("t.csv", CSV, SeparatedTable(InputConfig(preset="laion"), ",")),
            ("t.jsonl", JSON_LINES, input_tables.JsonLinesTable(InputConfig())),
        ):
            path = Path(folder) / name
            path.write_text(content)
            found += reader.read(str(path), 0, None)
        path = Path(folder) / "t.parquet"
        columns = {"uid": ["a", "b"], "url": ["http://a.example/1.jpg", None], "text": ["A", "B"]}
        pq.write_table(pa.table(columns), path)
        found += ParquetTable(InputConfig(preset="datacomp")).read(str(path), 0, None)
    return found


def run_input_tables() -> Any:
    return [
        [type(row).__name__, row.key, str(row.error)] if isinstance(row, BadRow) else asdict(row)
        for row in table_rows()
    ]


def corpus_files() -> dict[str, tuple[str, bytes]]:
    """Format -> name and content of a small file."""
    page = {
        "url": "http://b.example/", "text_list": ["A harbour.", "Its boats."],
        "image_info": [{"raw_url": "http://a.example/1.jpg", "matched_text_index": 1}],
        "similarity_matrix": [[0.1, 0.3]],
    }  # fmt: skip
    mixed = {
        "texts": ["A harbour.", None, "Its boats."],
        "images": [None, "http://a.example/1.jpg", None],
        "url": "http://b.example/", "metadata": "[null, null, null]",
        "general_metadata": '{"url": "http://b.example/"}',
    }  # fmt: skip
    columns = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([mixed]), columns)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        for name, data in (("1.jpg", JPEG), ("1.txt", b"A boat"), ("2.png", PNG)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return {
        "mmc4": ("a.jsonl", json.dumps(page).encode()),
        "omnicorpus": ("b.jsonl", json.dumps({**mixed, "metadata": None}).encode()),
        "obelics": ("c.parquet", columns.getvalue()),
        "webdataset": ("d.tar", tar.getvalue()),
    }


def run_corpus_formats() -> Any:
    found: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, data) in corpus_files().items():
            path = Path(folder) / file
            path.write_bytes(data)
            rows = list(corpus_formats.READERS[name]().read(str(path), 0, None))
            told = [
                str(row.error).replace(folder, "") if isinstance(row, BadRow) else asdict(row)
                for row in rows
            ]
            found.append([corpus_formats.sniff(str(path)), told])
    return found


def run_extract_rows() -> Any:
    documents = [row for row in table_rows() if isinstance(row, InputDocument)]
    documents.append(
        InputDocument("k", "http://b/", [Node("text", "paragraph", "A harbour and its boats.")])
    )
    settings = extract.ExtractSettings()
    return [asdict(extract_rows.row_tables(row, "t", settings)) for row in documents]


def run_recaption() -> Any:
    """Every row of a run whose captions a server writes: some good, some refused."""
    from beam_runner import main
    from tests.chat_server import Asked, ChatServer
    from tests.small_crawl import picture_crawl, write_recipe

    def say(asked: Asked) -> str:
        if asked.image is not None:
            return "A blurred picture."
        return "I'm sorry, but I can't." if "boat 1 " in asked.user else "Boat 2 at the quay."

    tables = ("wanted_recaptions", "planned_recaptions", "recaption_answers", "recaptions")
    with tempfile.TemporaryDirectory() as name, ChatServer(say) as server:
        folder = Path(name)
        picture_crawl(folder / "a.warc", 2)
        recipe = (
            "[recaption]\nmode = 'vecap'\nengine = 'server'\nbuckets = 1\n"
            f"max_fallback_fraction = 1\n[recaption.server]\nmodel = 'tiny'\nurl = '{server.url}'\n"
        )
        write_recipe(folder / "small.toml", {}, recipe)
        out = folder / "out"
        assert main(
            ["run", str(folder / "small.toml"), "-i", str(folder / "a.warc"), "-o", str(out),
             "-w", "1", "-q"]
        ) == 0  # fmt: skip
        found = {}
        for table in tables:
            files = sorted((out / "tables" / table).iterdir())
            rows = pa.concat_tables(pq.read_table(file) for file in files)
            # The identity of the recaptioner is made of versions.
            kept = [column for column in rows.column_names if column != "recaptioner"]
            found[table] = sorted(map(str, rows.select(kept).to_pylist()))
        return found


def run_fetch() -> Any:
    """Every row of a fetch from a server on loopback, but for its port and the clock."""
    from beam_runner import main
    from tests.file_server import serve

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "www").mkdir()
        for file, data in IMAGES.items():
            (folder / "www" / file).write_bytes(data)
        (folder / "www" / "page.jpg").write_bytes(b"<html>no image")
        (folder / "small.toml").write_text(
            "[dedup]\nbuckets = 2\n[refs]\nbuckets = 2\n[fetch]\nbuckets = 2\nhost_rate = 0\n"
            "contact = 'https://crawler.example/'\nallow_hosts = ['127.0.0.1']\n"
        )
        with serve(folder / "www", robots="User-agent: *\nDisallow: /no") as server:
            sources = [*IMAGES, "page.jpg", "gone.png", "no.png"]
            html = "".join(
                f"<p>{TEXTS['english']}</p><img src='{server.url}/{source}' alt='The mill {n}' "
                "width=300 height=300>"
                for n, source in enumerate(sources)
            )
            (folder / "a.warc").write_bytes(
                response("https://town.example/", date(1), "text/html", html.encode())
            )
            out = folder / "out"
            assert main(
                ["run", str(folder / "small.toml"), "-i", str(folder / "a.warc"), "-o", str(out),
                 "-w", "1", "-q", "--set", "run.max_failed_fraction=1.0"]
            ) == 0  # fmt: skip
        found = {}
        for table in ("wanted_urls", "planned_urls", "robots", "images", "thumbnails"):
            files = sorted((out / "tables" / table).glob("*.parquet"))
            assert files, table
            rows = [row for file in files for row in pq.read_table(file).to_pylist()]
            for row in rows:
                row.pop("answered_at", None)
                # Images come as they are ready, so the pack has no certain order.
                row.pop("pack", None)
                row.pop("offset", None)
            text = json.dumps(plain(rows), sort_keys=True).replace(f":{server.port}", "")
            found[table] = sorted(json.dumps(row, sort_keys=True) for row in json.loads(text))
        return found


RECIPE = """
[dedup]
buckets = 2
[refs]
buckets = 2
[splits]
validation = 0.3
[gates.dedup]
words = { value = "words", min = 2 }
[gates.fetch.image]
no_ads = { value = "contains(image_url, 'ads')", equals = false }
[gates.shard.captioned]
min_side = { value = "least(width, height)", min = 17 }
words = { value = "words", min = 3 }
[gates.shard.interleaved.image]
min_side = { value = "least(width, height)", min = 17 }
[gates.shard.interleaved.document]
words = { value = "words", min = 20 }
[gates.shard.text]
words = { value = "words", min = 10 }
[score]
buckets = 2
[scorers.quality]
"""

_EXTRACT = (extract, warc, interleave, text_scores, image_facts)
_SIGNATURES = (*_EXTRACT, signed_pages, minhash, gates)
_EDGES = (*_SIGNATURES, duplicates)
_LABELS = (*_EDGES, component_labels)
_CLUSTERS = (*_LABELS, clusters, cluster_pages)
_PARAGRAPHS = (*_CLUSTERS, site_paragraphs)
_SELECT = (*_CLUSTERS, select_images)
_IMAGES = (*_SELECT, refs)
_ANSWERS = (*_IMAGES, image_answers)
_DISTINCT_IMAGES = (*_ANSWERS, distinct_images)
_IMAGE_RANKS = (*_DISTINCT_IMAGES, image_clusters)
_IMAGE_USES = (*_IMAGE_RANKS, image_frequency)
_CANDIDATES = (*_IMAGE_USES, candidates)
_WANTED_SCORES = (*_CANDIDATES, score_wanted)
_RECAPTION = (recaption_wanted, recaption_plan, recaption_join, recaption_steps, ladder, validators)
_ANSWERS_OF_SCORERS = (*_WANTED_SCORES, score_plan, score_items)
_SCORES = (*_ANSWERS_OF_SCORERS, score_pairs)
_SAMPLES = (*_SCORES, site_paragraphs, assign, samples, document_gate)
_WRITE = (*_SAMPLES, write_shards, shards, image_codec)

STEPS: dict[str, tuple[tuple[Any, ...], Callable[[], Any]]] = {
    "warc": ((warc,), run_warc),
    "interleave": ((interleave,), run_interleave),
    "text_scores": ((text_scores,), run_text_scores),
    "image_facts": ((image_facts,), run_image_facts),
    "image_codec": ((image_codec,), run_image_codec),
    "minhash": ((minhash,), run_minhash),
    "clusters": ((clusters, duplicates, minhash), run_clusters),
    "earlier": ((earlier,), run_earlier),
    "gates": ((gates,), run_gates),
    "document_gate": ((document_gate, gates), run_document_gate),
    "sampled": ((sampled, soft_cap), run_sampled),
    "contamination": ((contamination, minhash), run_contamination),
    "paragraphs": ((site_paragraphs,), run_paragraphs),
    "text_models": ((text_models, paragraph_scores), run_text_models),
    "shards": ((shards, image_codec), run_shards),
    "input_tables": ((input_tables,), run_input_tables),
    "corpus_formats": ((corpus_formats,), run_corpus_formats),
    "extract_rows": ((extract_rows, input_tables, text_scores), run_extract_rows),
    "recaption": (_RECAPTION, run_recaption),
    "fetch": ((wanted_urls, fetch_plan, fetch_robots, fetch_images, image_facts), run_fetch),
}
"""What is golden -> the modules whose versions stand for it, and what makes it."""

PIPELINE: dict[str, tuple[tuple[Any, ...], str, str | tuple[str, ...]]] = {
    "run.extract": (_EXTRACT, "extract", ""),
    "run.signatures": (_SIGNATURES, "dedup", "signatures-"),
    "run.edges": (_EDGES, "dedup", "edges-"),
    "run.labels": (_LABELS, "dedup", "labels-"),
    "run.clusters": (_CLUSTERS, "dedup", "clusters-"),
    "run.paragraphs": (_PARAGRAPHS, "dedup", "paragraphs-"),
    "run.select": (_SELECT, "refs", "select-"),
    "run.images": (_IMAGES, "refs", "images-"),
    "run.answers": (_ANSWERS, "fetch", "answers-"),
    "run.distinct_images": (_DISTINCT_IMAGES, "dedup_images", ("distinct-", "pairs-")),
    "run.image_ranks": (_IMAGE_RANKS, "dedup_images", "image-ranks-"),
    "run.image_uses": (_IMAGE_USES, "dedup_images", ("image-clusters-", "image_uses-")),
    "run.candidates": (_CANDIDATES, "score", "candidates-"),
    "run.wanted_scores": (_WANTED_SCORES, "score", "wanted-"),
    "run.answers_of_scorers": (_ANSWERS_OF_SCORERS, "score", "answers-"),
    "run.scores": (_SCORES, "score", "scores-"),
    "run.samples": (_SAMPLES, "shard", "samples-"),
    "run.write": (_WRITE, "shard", "shard-"),
}
"""The steps of a whole run: modules whose versions stand for them, stage, beginning of parts."""


def run_pipeline(folder: Path) -> dict[str, Any]:
    """Every row that each step of a small run has committed, and its counts."""
    from beam_runner import main

    (folder / "crawl").mkdir()
    data = crawl()
    for number, content in enumerate((data, data[: len(data) // 2])):
        (folder / "crawl" / f"{number}.warc").write_bytes(content)
    (folder / "small.toml").write_text(RECIPE)
    code = main(
        ["run", str(folder / "small.toml"), "-i", str(folder / "crawl"), "-o", str(folder / "out"),
         "-w", "1", "-q", "--set", "run.max_failed_fraction=1.0"]
    )  # fmt: skip
    assert code == 0
    record = json.loads((folder / "out" / "run.json").read_text())
    found: dict[str, Any] = {}
    for name, (_, stage, prefix) in PIPELINE.items():
        rows: dict[str, Any] = {}
        for commit_name in record["stages"][stage]["snapshot"]:
            if not commit_name.startswith(prefix):
                continue
            path = folder / "out" / "commits" / stage / f"{commit_name}.json"
            commit = Commit.from_json(path.read_bytes())
            counts = {table: counts.as_json() for table, counts in commit.counts.items()}
            # The plan that answers are of depends on the versions of every step before it.
            part_name = re.sub(r"(answers-v\d+)-[0-9a-f]{16}-", r"\1-", commit.part)
            rows[part_name] = [dict(sorted(counts.items())), commit.details, sorted(commit.packs)]
            for table, files in sorted(commit.files.items()):
                for part, file in sorted(files.items()):
                    at = f"{part_name}/{table}/{part.replace(commit.part, part_name)}"
                    rows[at] = pq.read_table(folder / "out" / file)
        assert rows, f"{name} committed nothing"
        found[name] = rows
    return found


# --- digests, and the file that holds them


def digest_of(value: Any) -> str:
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def versions_of(modules: tuple[Any, ...]) -> dict[str, int]:
    return {m.__name__.partition(".")[2]: m.STEP_VERSION for m in modules}


def current(pipeline: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Versions and digests as the code gives them now."""
    made = {name: (modules, run()) for name, (modules, run) in STEPS.items()}
    made |= {name: (PIPELINE[name][0], value) for name, value in pipeline.items()}
    return {
        name: {"versions": versions_of(modules), "digest": digest_of(value)}
        for name, (modules, value) in made.items()
    }


def complaint(name: str, known: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str | None:
    """What is wrong with a step, and what to do; None where nothing is."""
    update = "run `.venv/bin/python tests/test_step_versions.py --update`"
    if known is None:
        return f"{name} is not in {GOLDEN.name}: {update}"
    if known["versions"] != now["versions"]:
        return f"{name} has other versions than in {GOLDEN.name}: {update}"
    if known["digest"] != now["digest"]:
        modules = ", ".join(now["versions"])
        return (
            f"the output of {name} has changed under its old version. If that is meant, raise "
            f"STEP_VERSION in the module that changed (of {modules}), so that old outputs are made "
            f"again, and {update}"
        )
    return None


def read_golden() -> dict[str, dict[str, Any]]:
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return current(run_pipeline(tmp_path_factory.mktemp("golden")))


@pytest.mark.parametrize("name", [*STEPS, *PIPELINE])
def test_output_changes_only_with_the_version(name: str, now: dict[str, dict[str, Any]]) -> None:
    told = complaint(name, read_golden().get(name), now[name])
    assert told is None, told


def test_golden_file_names_no_step_that_is_gone() -> None:
    assert set(read_golden()) == {*STEPS, *PIPELINE}


def test_every_module_with_a_version_is_golden() -> None:
    folder = Path(__file__).resolve().parents[1]
    found = {
        path.stem
        for package in ("transforms", "pipeline", "recaptioner")
        for path in (folder / package).rglob("*.py")
        if "\nSTEP_VERSION = " in path.read_text()
    }
    covered = {
        module.__name__.rpartition(".")[2]
        for modules, *_ in (*STEPS.values(), *PIPELINE.values())
        for module in modules
    }
    assert found == covered


def test_a_changed_output_under_an_old_version_is_refused() -> None:
    known = {"versions": {"a": 1}, "digest": "x"}
    assert complaint("a", known, known) is None
    assert "raise STEP_VERSION" in str(complaint("a", known, known | {"digest": "y"}))
    assert "--update" in str(complaint("a", known, {"versions": {"a": 2}, "digest": "y"}))
    assert "--update" in str(complaint("a", None, known))


def test_every_version_makes_the_parts_that_depend_on_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: dict[str, dict[str, Any]]
) -> None:
    """Raising a module's version changes the fingerprints of the first step that runs its code."""
    from pipeline.plan import make_plan
    from pipeline.run import RunOptions

    del now
    run_pipeline(tmp_path)
    options = RunOptions(
        str(tmp_path / "small.toml"), [str(tmp_path / "crawl")], str(tmp_path / "out"), workers=1,
        overrides=["run.max_failed_fraction=1.0"],
    )  # fmt: skip
    assert all(step["to_run"] == 0 for step in make_plan(options)["steps"])
    order = [name.partition(".")[2] for name in PIPELINE]
    for module in _WRITE:
        first = next(n for n, (modules, *_) in PIPELINE.items() if module in modules)
        with monkeypatch.context() as patch:
            patch.setattr(module, "STEP_VERSION", module.STEP_VERSION + 1)
            steps = {step["step"]: step for step in make_plan(options)["steps"]}
        again = next(step for step in order if steps[step].get("to_run") != 0)
        assert f"run.{again}" == first, f"{module.__name__} is in the fingerprints of {again}"


def main_update(argument: str) -> int:
    known = read_golden()
    with tempfile.TemporaryDirectory() as folder:
        found = current(run_pipeline(Path(folder)))
    for name, entry in found.items():
        told = complaint(name, known.get(name), entry)
        if told is not None and "raise STEP_VERSION" in told and argument != "--reset":
            print(told, file=sys.stderr)
            return 1
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    changed = [name for name, entry in found.items() if known.get(name) != entry]
    print(f"{GOLDEN}: {', '.join(changed) or 'nothing'} updated")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["--update"], ["--reset"]):
        sys.exit(f"usage: {sys.argv[0]} --update | --reset")
    sys.exit(main_update(sys.argv[1]))

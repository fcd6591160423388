"""Where vectors meet: embeddings travel to the parts that use them, and pairs get their scores.

``uses of parts, answers -> [by image_key, by text_hash] -> [back to the part] -> scores``

A vector travels once to each part that uses it, in float16 (1 kB of 512 dimensions). What is
computed here is cheap and made anew whenever it is asked for in another way: cosines, heads on
embeddings, the best text of an image.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.outcomes import OK
from schemas.score_rows import TextUnit
from schemas.tables import schema_of
from transforms.distinct_images import key_bucket
from transforms.document_pairs import best_units, by_documents, document_pairs, fill_captions
from transforms.pages import first_rows, known_columns, positions, rows_with, some
from transforms.score_plan import IMAGES, KEYS, TEXTS
from transforms.score_wanted import CAPTION_PAIR_SCHEMA, PAIR_SCHEMA
from transforms.scorers.base import PAIRS, PIXELS, Floats, PairVectors, Scorer
from transforms.scorers.registry import kind_of
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

STEP_VERSION = 2
COUNTED = "scores"
"""One for each item of a part and each scorer that has to see it."""
_PAIRS_AT_ONCE = 65536

MEET_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("key", pa.string()),
        pa.field("part", pa.string()),
        pa.field("scorer", pa.string()),
        pa.field("outcome", pa.string()),
        pa.field("vector", pa.binary()),
        pa.field("values", pa.list_(pa.field("item", pa.float64(), True))),
    ]
)
"""An answer of a `scorer`; without one, the use of a key by a `part`."""


@dataclass(frozen=True, slots=True)
class UseFiles:
    """What a part uses."""

    part: str
    images: str | None
    texts: str | None
    pairs: str | None
    units: str | None
    captions: str | None
    """The pair of each caption."""


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file of answers."""

    kind: str
    path: str


@dataclass(eq=False)
class EmitScores:
    """Map side: uses and answers by key; the spec of a part says which."""

    output: str
    scorers: tuple[str, ...]
    """Identities whose answers count."""
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield rows by bucket; of uses an empty block for the part itself, too."""
        if isinstance(part.spec, UseFiles):
            files = part.spec
            for kind, path in ((IMAGES, files.images), (TEXTS, files.texts)):
                rows = read_table(self.output, some(path), [KEYS[kind]])
                if rows is not None:
                    known = {"key": rows[KEYS[kind]], "part": [files.part] * len(rows)}
                    yield from self._deal(kind, known, len(rows))
            yield f"part {files.part}", MEET_SCHEMA.empty_table()
            return
        answers: Sequence[AnswerFile] = part.spec
        for answer in answers:
            rows = read_table(self.output, [answer.path])
            assert rows is not None
            rows = rows_with(rows, "scorer", self.scorers)
            known = {name: rows[name] for name in MEET_SCHEMA.names if name in rows.column_names}
            known["key"] = rows[KEYS[answer.kind]]
            yield from self._deal(answer.kind, known, len(rows))

    def _deal(self, kind: str, known: dict[str, Any], count: int) -> Iterator[Block]:
        known["kind"] = [kind] * count
        rows = known_columns(known, MEET_SCHEMA, count)
        names = [f"{kind} {key_bucket(key, self.buckets)}" for key in rows["key"].to_pylist()]
        yield from split_rows(rows, names)


def send_answers(bucket: str, rows: pa.Table) -> Iterator[Block]:
    """First reduce: every answer to the parts that use its key."""
    if bucket.startswith("part "):
        yield bucket, rows
        return
    uses = rows.filter(rows["scorer"].is_null())
    answers = rows.filter(rows["scorer"].is_valid())
    for scorer in sorted(pc.unique(answers["scorer"]).to_pylist()):
        said = rows_with(answers, "scorer", [scorer])
        # An image that was missing may have come back; two runs may have answered one key.
        said = said.append_column("bad", pc.not_equal(said["outcome"], OK))
        order = [(name, "ascending") for name in ("key", "bad", "outcome", "vector")]
        said = said.sort_by(order).select(MEET_SCHEMA.names)
        at = positions(said["key"], uses["key"])
        met = said.take(pa.array(at[at >= 0]))
        parts = uses["part"].filter(pa.array(at >= 0))
        met = met.set_column(met.schema.get_field_index("part"), "part", parts)
        yield from split_rows(met, pc.binary_join_element_wise("part", parts, " "))


def sample_answers(bucket: str, rows: pa.Table, count: int) -> Iterator[Block]:
    """Reduce: of each scorer the embeddings of the smallest keys that some part uses."""
    if bucket.startswith("part "):
        yield "all", rows
        return
    uses = rows.filter(rows["scorer"].is_null())["key"].combine_chunks()
    answers = rows.filter(pc.and_(rows["scorer"].is_valid(), rows["vector"].is_valid()))
    yield "all", smallest_keys(rows_with(answers, "key", uses), count)


def smallest_keys(answers: pa.Table, count: int) -> pa.Table:
    """Of each kind and scorer the rows of the smallest keys. Keys are hashes: a random sample."""
    order = [(name, "ascending") for name in ("kind", "scorer", "key", "vector")]
    rows = answers.sort_by(order)
    rows = rows.take(first_rows(_joined(rows, "kind", "scorer", "key")))
    found = [rows.slice(0, 0)]
    for group in pc.unique(_joined(rows, "kind", "scorer")).to_pylist():
        found.append(rows.filter(pc.equal(_joined(rows, "kind", "scorer"), group)).slice(0, count))
    return pa.concat_tables(found)


def _joined(rows: pa.Table, *names: str) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(rows[name] for name in names), " ")


@dataclass(frozen=True)
class CommitSample:
    """Last reduce: the sample of the corpus that scorers of pairs compare with."""

    count: int

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write the smallest of the smallest."""
        del part
        sink.write("score_negatives", smallest_keys(rows, self.count))


@dataclass(frozen=True)
class _Vectors:
    """The answers of a scorer to the keys of a part."""

    keys: pa.Array
    vectors: Floats | None
    values: npt.NDArray[np.float64] | None

    def rows(self, keys: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The row of each key, -1 where there is no answer."""
        return positions(pa.chunked_array([self.keys]), keys)


def _answers(rows: pa.Table, kind: str, scorer: Scorer) -> _Vectors:
    found = rows_with(rows_with(rows, "kind", [kind]), "scorer", [scorer.identity])
    found = rows_with(found, "outcome", [OK])
    found = found.sort_by("key").combine_chunks()
    vectors = to_vectors(found["vector"]) if found["vector"].null_count < len(found) else None
    values = None
    if kind == IMAGES and scorer.image_columns:
        flat = pc.list_flatten(found["values"])
        values = flat.to_numpy(zero_copy_only=False).reshape(-1, len(scorer.image_columns))
    return _Vectors(found["key"].combine_chunks(), vectors, values)


def to_vectors(column: pa.ChunkedArray) -> Floats:
    """Embeddings as they are kept, as normalised float32, shape (rows, dimension)."""
    halves = np.frombuffer(b"".join(column.to_pylist()), "<f2").reshape(len(column), -1)
    vectors = halves.astype(np.float32)
    # Rounded to 11 bits a component they are not quite of length 1 any more.
    normalised: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


@dataclass(eq=False)
class CommitScores:
    """Last reduce: the scores of a part."""

    output: str
    scorers: Sequence[Scorer]
    files: Mapping[str, UseFiles]
    negatives: str | None = None
    """File of the sample that scorers of pairs compare with."""

    def setup(self) -> None:
        """Load what looks at embeddings, and the sample it compares with, once a worker."""
        self._functions = {
            each.name: kind_of(each).load(each.config)
            for each in self.scorers
            if kind_of(each).sees != PIXELS
        }
        self._sample = read_table(self.output, some(self.negatives))

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write `scores_images`, `scores_clip`, `scores_captions`, `scores_nodes`."""
        files = self.files[part.spec]
        self._count(rows, files, sink)
        answers = {
            kind: {s.name: _answers(rows, kind, s) for s in self.scorers if _is_pixels(s)}
            for kind in (IMAGES, TEXTS)
        }
        self._images(files, answers[IMAGES], sink)
        if any(scorer.pair_columns for scorer in self.scorers):
            self._pairs(files, answers, sink)

    def _count(self, rows: pa.Table, files: UseFiles, sink: PartSink) -> None:
        """Count what was to be scored, by what became of it."""
        for kind, path in ((IMAGES, files.images), (TEXTS, files.texts)):
            keys = read_table(self.output, some(path), [KEYS[kind]])
            if keys is None:
                continue
            for scorer in self.scorers:
                if not _is_pixels(scorer) or (kind == TEXTS and not kind_of(scorer).embeds_texts):
                    continue
                sink.seen(COUNTED, len(keys))
                said = rows_with(rows_with(rows, "kind", [kind]), "scorer", [scorer.identity])
                failed = sink.counts(COUNTED).failed
                for outcome, count in Counter(said["outcome"].to_pylist()).items():
                    if outcome == OK:
                        sink.count(COUNTED, kept=count)
                    else:
                        failed[outcome] = failed.get(outcome, 0) + count

    # --- images

    def _images(self, files: UseFiles, answers: Mapping[str, _Vectors], sink: PartSink) -> None:
        keys = read_table(self.output, some(files.images), ["image_key"])
        scorers = [scorer for scorer in self.scorers if scorer.image_columns]
        if keys is None or not scorers:
            return
        columns: dict[str, Any] = {"image_key": keys["image_key"]}
        for scorer in scorers:
            said = answers[scorer.of or scorer.name]
            values = said.values
            if scorer.of is not None:
                values = (
                    None if said.vectors is None else self._functions[scorer.name](said.vectors)
                )
            at = said.rows(keys["image_key"])
            for number, column in enumerate(scorer.image_columns):
                columns[column] = _taken(None if values is None else values[:, number], at)
        sink.write("scores_images", pa.table(columns))

    # --- pairs

    def _pairs(
        self, files: UseFiles, answers: Mapping[str, Mapping[str, _Vectors]], sink: PartSink
    ) -> None:
        wanted = read_table(self.output, some(files.pairs))
        if wanted is None:
            return
        units = read_table(self.output, some(files.units))
        units = schema_of(TextUnit).empty_table() if units is None else units
        captions = read_table(self.output, some(files.captions))
        captions = CAPTION_PAIR_SCHEMA.empty_table() if captions is None else captions
        names = [scorer.pair_columns[0] for scorer in self.scorers if scorer.pair_columns]
        scores = {name: np.full(len(captions), np.nan, np.float32) for name in names}
        for some_wanted, some_units in by_documents(wanted, units):
            pairs = self._some_pairs(some_wanted, some_units, answers, sink)
            fill_captions(scores, captions, pairs)
        known = {name: pa.array(each, from_pandas=True) for name, each in scores.items()}
        sink.write("scores_captions", pa.table({"caption_id": captions["caption_id"], **known}))

    def _some_pairs(
        self,
        wanted: pa.Table,
        units: pa.Table,
        answers: Mapping[str, Mapping[str, _Vectors]],
        sink: PartSink,
    ) -> pa.Table:
        alone = wanted["text_hash"].is_null()
        met = document_pairs(wanted.filter(alone), units)
        pairs = pa.concat_tables([wanted.filter(pc.invert(alone)), met])
        pairs = pairs.group_by(PAIR_SCHEMA.names, use_threads=False).aggregate([])
        pairs = pairs.sort_by([(name, "ascending") for name in PAIR_SCHEMA.names])
        names = []
        for scorer in (scorer for scorer in self.scorers if scorer.pair_columns):
            score = self._score(scorer, answers, pairs)
            names.append(scorer.pair_columns[0])
            pairs = pairs.append_column(names[-1], pa.array(score, from_pandas=True))
        sink.write("scores_clip", pairs)
        sink.write("scores_nodes", best_units(pairs, met, names))
        return pairs

    def _score(
        self, scorer: Scorer, answers: Mapping[str, Mapping[str, _Vectors]], pairs: pa.Table
    ) -> Floats:
        """The score of each pair; NaN where one of the two has no embedding."""
        name = scorer.of or scorer.name
        images, texts = answers[IMAGES][name], answers[TEXTS][name]
        scores: Floats = np.full(len(pairs), np.nan, np.float32)
        if images.vectors is None or texts.vectors is None:
            return scores
        i, t = images.rows(pairs["image_key"]), texts.rows(pairs["text_hash"])
        known = np.flatnonzero((i >= 0) & (t >= 0))
        sample: dict[str, Floats] = {}
        if kind_of(scorer).sees == PAIRS and len(known):
            sample = {kind: self._negatives(kind, name) for kind in (IMAGES, TEXTS)}
        for start in range(0, len(known), _PAIRS_AT_ONCE):
            rows = known[start : start + _PAIRS_AT_ONCE]
            a, b = images.vectors[i[rows]], texts.vectors[t[rows]]
            if sample:
                seen = PairVectors(a, b, sample[IMAGES], sample[TEXTS])
                scores[rows] = self._functions[scorer.name](seen)
            else:
                scores[rows] = np.einsum("ij,ij->i", a, b)
        return scores

    def _negatives(self, kind: str, name: str) -> Floats:
        scorer = next(each for each in self.scorers if each.name == name)
        assert self._sample is not None, "a scorer of pairs has a sample"
        rows = rows_with(self._sample, "kind", [kind])
        rows = rows_with(rows, "scorer", [scorer.identity])
        return to_vectors(rows["vector"])


def _is_pixels(scorer: Scorer) -> bool:
    return kind_of(scorer).sees == PIXELS


def _taken(values: Any, at: npt.NDArray[np.int64]) -> pa.Array:
    """Values at rows as a column; null where the row is -1 or the value NaN."""
    taken = np.full(len(at), np.nan)
    if values is not None:
        taken[at >= 0] = values[at[at >= 0]]
    return pa.array(taken, pa.float64(), from_pandas=True)

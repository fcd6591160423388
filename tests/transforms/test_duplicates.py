"""From pages to edges and clusters, whatever the parts, the buckets and the order."""

import random
import tempfile
from collections import defaultdict
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.state import sum_counts, sum_facts
from schemas.duplicate_rows import EarlierPage, Edge
from schemas.rows import Text
from schemas.tables import schema_of, to_batch
from tests.components import commit, label_files, regroup
from transforms.cluster_pages import (
    AnswerPages,
    AskPages,
    BuildComponents,
    CommitClusters,
    EdgeFiles,
    EmitEdges,
    JoinLabels,
)
from transforms.component_labels import label_buckets
from transforms.duplicates import LINKS, AttachPages, CommitEdges, EmitKeys, link_keys
from transforms.minhash import MinHashConfig, shingles, signatures, text_hash
from transforms.minhash import sign as minhash_sign
from transforms.pages import PageFiles
from transforms.shingle_sets import iter_shingle_sets
from transforms.signed_pages import (
    DedupConfig,
    EarlierSigned,
    SignedFiles,
    read_signed,
    to_signatures,
)
from transforms.sink import Part, PartSink
from transforms.table_files import read_table


def near_duplicate_pages():
    """Pages given as (id, date, url, text)."""
    rng = random.Random(8)
    pages = []
    for family in range(30):
        article = [f"f{family}w{rng.randint(0, 300)}" for _ in range(400)]
        for copy in range(3):
            edited = list(article)
            for place in rng.sample(range(400), copy * 2):
                edited[place] = "changed"
            url = f"http://s/{family}/{copy}"
            pages.append((f"{family}-{copy}", f"202{copy}-01-01", url, " ".join(edited)))
    pages += [
        ("empty-1", "2020", "http://e/1", ""),
        ("empty-2", "2020", "http://e/2", ""),
        ("again-1", "2020", "http://same/", "short"),
        ("again-2", "2021", "http://same/", "short"),
    ]
    return [(text_hash(page[0]), *page[1:]) for page in pages]


NAMES = {
    text_hash(name): name
    for name in [f"{family}-{copy}" for family in range(30) for copy in range(3)]
    + ["empty-1", "empty-2", "again-1", "again-2"]
}


def text_table(pages):
    """The table `texts`, in an order of its own, and a page in it that nobody signed."""
    schema = schema_of(Text)
    empty = pa.array([[]], pa.list_(pa.string()))
    rows = [("f" * 32, "2020", "", "of no part"), *pages]
    columns = {
        field.name: pa.nulls(len(rows), field.type)
        for field in schema
        if not pa.types.is_list(field.type)
    }
    columns |= {
        field.name: pa.concat_arrays([empty.cast(field.type)] * len(rows))
        for field in schema
        if pa.types.is_list(field.type)
    }
    columns["text_id"] = pa.array([row[0] for row in rows])
    columns["text"] = pa.array([row[3] for row in rows])
    return pa.table(columns)


def sign(output, part, pages, config):
    """Write the tables `signatures` and `texts` of a part."""
    values, sums = minhash_sign([page[3] for page in pages], config.minhash)
    table = pa.table(
        {
            "id": pa.array([page[0] for page in pages], pa.string()),
            "kind": pa.array(["document"] * len(pages), pa.string()),
            "url": pa.array([page[2] for page in pages], pa.string()),
            "date": pa.array([page[1] for page in pages], pa.string()),
            "length": pa.array([len(page[3]) for page in pages], pa.int64()),
            "score": pa.nulls(len(pages), pa.float64()),
            "shingle_sum": pa.array(sums),
            "text_key": pa.array([text_hash(page[3]) if page[3] else "" for page in pages]),
            "signature": pa.array([row.tobytes() for row in values], pa.binary()),
        }
    )
    with PartSink("dedup", output, Part(part, "f" * 16)) as sink:
        sink.write("signatures", table)
        sink.write("texts", text_table(pages))
        files = sink.publish().files
    path, texts = (files.get(name, {}).get(part) for name in ("signatures", "texts"))
    return SignedFiles(part, path, PageFiles(part, None, texts, None, None, None))


def dedup(output, parts, config, rng, earlier=0):
    """Edges, clusters, facts, and the commits of clusters, of pages dealt to parts.

    The first `earlier` parts are of an earlier output, which has published every other page.
    """
    output = str(output)
    signed = [
        sign(f"{output}-earlier" if number < earlier else output, f"p{number}", pages, config)
        for number, pages in enumerate(parts)
    ]
    for number, pages in enumerate(parts[:earlier]):
        rows = [EarlierPage(page[0], page[2], row % 2 == 0, None) for row, page in enumerate(pages)]
        with PartSink("dedup", output, Part(f"earlier-p{number}", "f" * 16)) as sink:
            sink.write("earlier_pages", to_batch(rows, EarlierPage))
            path = sink.publish().file("earlier_pages")
        found = EarlierSigned(f"{output}-earlier", path)
        signed[number] = replace(signed[number], earlier=found)
    emit = EmitKeys(output, config, signed)
    blocks = [block for number in range(len(parts)) for block in emit(Part("p", "", number))]
    for function in (link_keys, AttachPages(output, config, signed)):
        blocks = [block for _, found in regroup(blocks, function, rng) for block in found]
    commit_edges = CommitEdges(output, config, signed)
    commits = []

    def commit_bucket(bucket, rows):
        with PartSink("dedup", output, Part(f"edges-{bucket}", "f" * 16, int(bucket))) as sink:
            commit_edges(sink._part, rows, sink)
            commits.append(sink.publish())

    assert sorted(bucket for bucket, _ in regroup(blocks, commit_bucket, rng)) == sorted(
        str(number) for number in range(len(parts))
    )
    paths = sorted(path for found in commits for path in found.files.get("edges", {}).values())
    links = sum_facts(commits)[LINKS]
    labels, _ = label_files(output, paths, links, config, rng)
    count = label_buckets(config, links)
    emit = EmitEdges(output, count)
    specs = [
        Part(f"clusters-{files.part}", "f" * 16, EdgeFiles(files.part, path, len(pages)))
        for files, path, pages in zip(
            signed, (edges_of(commits, files.part) for files in signed), parts, strict=True
        )
    ]
    blocks = [block for part in specs for block in emit(part)]
    for function in (
        JoinLabels(output, labels, config.buckets),
        AskPages(),
        AnswerPages(output, config, signed),
        BuildComponents(config, signed),
    ):
        blocks = [block for _, found in regroup(blocks, function, rng) for block in found]
    by_name = {part.spec.part: part for part in specs}
    joined = []

    def commit_clusters(name, rows):
        write = partial(CommitClusters(output), rows=rows)
        joined.append(commit(output, by_name[name], lambda part, sink: write(part, sink=sink)))

    assert sorted(name for name, _ in regroup(blocks, commit_clusters, rng)) == sorted(by_name)
    clusters = read_table(
        output,
        sorted(path for found in joined for path in found.files.get("clusters", {}).values()),
    )
    return read_table(output, paths), clusters, sum_facts([*commits, *joined]), joined


def edges_of(commits, part):
    """The file of the edges of a part, by the number that its name ends with."""
    (found,) = [commit for commit in commits if commit.part == f"edges-{part[1:]}"]
    return next(iter(found.files.get("edges", {}).values()), None)


def as_set(clusters):
    return {tuple(row.values()) for row in clusters.to_pylist()}


def deal(pages, count):
    return [pages[number::count] for number in range(count)]


def test_pages_meet_whatever_the_parts_the_buckets_and_the_order(tmp_path):
    pages = near_duplicate_pages()
    rng = random.Random(1)
    expected = None
    for count, buckets, most in ((1, 1, 1000), (4, 7, 0), (94, 64, 1000), (3, 2, 0)):
        rng.shuffle(pages)
        config = DedupConfig(min_similarity=0.75, buckets=buckets, one_process_edges=most)
        edges, clusters, facts, _ = dedup(tmp_path / str(count), deal(pages, count), config, rng)
        assert edges.schema == schema_of(Edge)
        found = as_set(clusters)
        assert expected in (None, found)
        expected = found
        assert facts["similar_pairs"] == facts["candidate_pairs"] == 91
    near = defaultdict(list)
    for kind, page, cluster, _, similarity, *_ in sorted(expected, key=lambda row: row[3]):
        near[kind, NAMES[cluster]].append(NAMES[page])
        assert similarity >= 0.75
    assert near == {
        **{("near_text", f"{f}-2"): [f"{f}-{copy}" for copy in (2, 1, 0)] for f in range(30)},
        **{(kind, "again-2"): ["again-2", "again-1"] for kind in ("near_text", "text", "url")},
    }


def test_similarity_is_that_of_the_signatures(tmp_path):
    config = DedupConfig(min_similarity=0.0, buckets=3)
    pages = near_duplicate_pages()
    edges, *_ = dedup(tmp_path, deal(pages, 5), config, random.Random(2))
    texts = {page[0]: page[3] for page in pages}
    near = edges.filter(pc.equal(edges["kind"], "near_text")).to_pylist()
    assert len(near) >= 91
    for row in near:
        a, b = signatures([texts[row["a_id"]], texts[row["b_id"]]], config.minhash)
        assert row["similarity"] == (a == b).mean()


def test_record_in_several_parts_belongs_to_the_first(tmp_path):
    page = near_duplicate_pages()[0]
    parts = [[], [page], [page], [page]]
    _, clusters, _, commits = dedup(tmp_path, parts, DedupConfig(), random.Random(3))
    again = [commit.part for commit in commits if "repeats" in commit.files]
    assert sorted(again) == ["clusters-p2", "clusters-p3"]
    counts = sum_counts(commits)["distinct_pages"]
    assert counts.rejected == {"same_record": 2}
    assert counts.kept == 1
    assert clusters is None


def test_template_of_many_pages_is_split_and_reported(tmp_path):
    rng = random.Random(4)
    template = [f"t{number}" for number in range(300)]
    pages = [
        (
            text_hash(f"{number}"),
            "2020",
            f"http://t/{number}",
            " ".join([*template, *(f"own{number}-{place}" for place in range(15))]),
        )
        for number in range(200)
    ]
    rng.shuffle(pages)
    _, clusters, facts, _ = dedup(tmp_path, deal(pages, 3), DedupConfig(), rng)
    assert facts["split_groups"] >= 1
    assert facts["split_group_rows"] >= 65
    # All are alike, so all are one cluster: nothing is lost by the split.
    assert {row["rank"] for row in clusters.to_pylist()} == set(range(200))
    assert facts["clusters_near_text"] == 1
    # Far fewer than each with each.
    assert facts["candidate_pairs"] < 200 * 199 / 4


def test_long_chain_with_copies_is_cut_alike_wherever_its_pages_stand(tmp_path):
    rng = random.Random(3)
    story = [f"w{number}" for number in range(200 + 40 * 100)]
    pages = []
    for place in range(100):  # more leaders than are compared with all
        text = " ".join(story[40 * place : 40 * place + 200])
        for copy in range(2):
            key = f"{place}-{copy}"
            pages.append((text_hash(key), str(rng.randint(2000, 9999)), "", text + "." * copy))
    expected = None
    for trial in range(3):
        most = 1_000_000 if trial == 1 else 0
        config = DedupConfig(
            MinHashConfig(bands=60, rows=2), 0.5, buckets=7, one_process_edges=most
        )
        rng.shuffle(pages)
        _, clusters, facts, _ = dedup(tmp_path / str(trial), deal(pages, 3), config, rng)
        assert facts["cut_components"] == 1
        found = as_set(clusters)
        assert expected in (None, found)
        expected = found


@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from(["signatures", "texts"]))
@settings(deadline=None, max_examples=8)
def test_clusters_are_those_of_one_run_however_pages_are_dealt_to_runs(seed, earlier, verify):
    rng = random.Random(seed)
    pages = near_duplicate_pages()[:60]
    config = DedupConfig(min_similarity=0.75, buckets=3, verify=verify)
    names = ("kind", "id", "cluster_id", "rank", "similarity", "component", "place")
    found = []
    for count in (0, earlier):
        rng.shuffle(pages)
        with tempfile.TemporaryDirectory() as folder:
            _, clusters, _, _ = dedup(f"{folder}/out", deal(pages, 4), config, rng, count)
        found.append({tuple(row[name] for name in names) for row in clusters.to_pylist()})
    assert found[0] == found[1] != set()


def test_a_published_record_is_not_read_again_and_another_is(tmp_path):
    once, twice, new = near_duplicate_pages()[:3]
    parts = [[once, twice], [once, new], [twice, once], [new]]
    _, _, _, commits = dedup(tmp_path / "out", parts, DedupConfig(), random.Random(1), 1)
    rejected = [
        [row["id"] for row in read_table(f"{tmp_path}/out", [path]).to_pylist()]
        for path in (found.file("repeats") for found in sorted(commits, key=lambda c: c.part))
        if path is not None
    ]
    # The earlier output has published the first page and refused the second.
    assert rejected == [[once[0]], [once[0]], [new[0]]]


def test_a_part_without_pages_has_a_commit(tmp_path):
    edges, clusters, facts, commits = dedup(tmp_path, [[], []], DedupConfig(), random.Random(5))
    assert (edges, clusters) == (None, None)
    assert facts["candidate_pairs"] == 0
    assert [found.counts["clusters"].kept for found in commits] == [0, 0]


@pytest.mark.parametrize("rows", [0, 3])
def test_signatures_come_back_from_their_table(tmp_path, rows):
    config = DedupConfig()
    pages = near_duplicate_pages()[:rows]
    files = sign(str(tmp_path), "p", pages, config)
    found = read_signed(str(tmp_path), files, config.minhash)
    values = to_signatures(found["signature"], config.minhash)
    assert values.shape == (rows, 112)
    assert (values == signatures([page[3] for page in pages], config.minhash)).all()


def exact(left, right, config):
    """Jaccard similarity by its definition."""
    a, b = (set(shingles(text, config.minhash)) for text in (left, right))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("unit", ["word", "character"])
def test_similarity_of_texts_is_exact(tmp_path, unit):
    minhash = MinHashConfig(unit, 5 if unit == "word" else 9)
    config = DedupConfig(minhash, min_similarity=0.0, buckets=3, verify="texts")
    pages = near_duplicate_pages()
    edges, clusters, *_ = dedup(tmp_path, deal(pages, 5), config, random.Random(2))
    texts = {page[0]: page[3] for page in pages}
    near = edges.filter(pc.equal(edges["kind"], "near_text")).to_pylist()
    assert len(near) >= 91
    for row in near:
        assert row["similarity"] == exact(texts[row["a_id"]], texts[row["b_id"]], config)
    for row in clusters.filter(pc.equal(clusters["kind"], "near_text")).to_pylist():
        assert row["similarity"] == exact(texts[row["id"]], texts[row["cluster_id"]], config)


def template_pages(count, own, rng):
    """Pages of one template with some words of their own, at random dates."""
    template = [f"t{number}" for number in range(300)]
    return [
        (
            text_hash(f"{number}"),
            str(rng.randint(2000, 2020)),
            "",
            " ".join([*template, *(f"own{number}of{place}" for place in range(own))]),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("own", [1, 20], ids=["equal-signatures", "unequal-signatures"])
def test_texts_are_compared_alike_wherever_the_pages_stand(tmp_path, own):
    """Groups above `MAX_GROUP`, most of one signature: no page stands for another but its equal.

    Of the 296 and more shingles of two pages all but `own` of each are common.
    """
    common = 296
    similarity = common / (common + 2 * own)
    rng = random.Random(5)
    pages = template_pages(150, own, rng)
    pages += [(text_hash(f"copy of {n}"), "1999", "", pages[n][3] + ".") for n in range(20)]
    expected = None
    for least, members in ((similarity, 170), (similarity + 1e-9, 40)):
        for trial, (count, buckets) in enumerate(((1, 1), (3, 7), (40, 5))):
            rng.shuffle(pages)
            config = DedupConfig(min_similarity=least, buckets=buckets, verify="texts")
            folder = tmp_path / f"{members}-{trial}"
            _, clusters, *_ = dedup(folder, deal(pages, count), config, rng)
            near = clusters.filter(pc.equal(clusters["kind"], "near_text"))
            found = as_set(near.drop_columns(["component", "place"]))
            assert trial == 0 or expected == found
            expected = found
        # At the threshold all are one cluster; just above it a page is like its copies alone.
        assert len(near) == members
        assert set(near["similarity"].to_pylist()) <= {1.0, similarity}


def test_places_follow_ranks_within_a_component(tmp_path):
    config = DedupConfig(buckets=3, prefer=("longest", "latest"))
    pages = near_duplicate_pages()
    _, clusters, *_ = dedup(tmp_path, deal(pages, 4), config, random.Random(6))
    by_component = defaultdict(dict)
    for row in clusters.to_pylist():
        page = (-row["length"], [-ord(letter) for letter in row["date"]], row["id"])
        by_component[row["component"]][row["place"]] = page
    assert len(by_component) == 31
    for places in by_component.values():
        assert sorted(places) == list(range(len(places)))
        assert [places[place] for place in sorted(places)] == sorted(places.values())


def test_a_text_that_is_gone_is_an_error(tmp_path):
    config = DedupConfig(verify="texts")
    page = near_duplicate_pages()[0]
    signed = sign(str(tmp_path), "p", [page], config)
    with pytest.raises(ValueError, match="p has no page aaaa"):
        list(iter_shingle_sets(str(tmp_path), signed.pages, ["a" * 32], config.minhash))

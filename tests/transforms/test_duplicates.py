"""From pages to edges and clusters, whatever the parts, the buckets and the order."""

import random
from collections import defaultdict

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from schemas.duplicate_rows import Edge
from schemas.tables import schema_of
from transforms.cluster_pages import ClusterPages, EdgeFiles
from transforms.duplicates import (
    AttachPages,
    CommitEdges,
    DedupConfig,
    EmitKeys,
    SignedFiles,
    link_keys,
    read_signed,
    to_signatures,
)
from transforms.minhash import MinHashConfig, signatures, text_hash
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


def sign(output, part, pages, config):
    """Write the table `signatures` of a part."""
    values = signatures([page[3] for page in pages], config.minhash)
    table = pa.table(
        {
            "id": pa.array([page[0] for page in pages], pa.string()),
            "kind": pa.array(["document"] * len(pages), pa.string()),
            "url": pa.array([page[2] for page in pages], pa.string()),
            "date": pa.array([page[1] for page in pages], pa.string()),
            "length": pa.array([len(page[3]) for page in pages], pa.int64()),
            "text_key": pa.array([text_hash(page[3]) if page[3] else "" for page in pages]),
            "signature": pa.array([row.tobytes() for row in values], pa.binary()),
        }
    )
    with PartSink("dedup", output, Part(part, "f" * 16)) as sink:
        sink.write("signatures", table)
        path = sink.publish().files.get("signatures", {}).get(part)
    return SignedFiles(part, path)


def regroup(blocks, function, rng):
    """A shuffle: blocks of a bucket come in any order."""
    buckets = defaultdict(list)
    for bucket, rows in blocks:
        buckets[bucket].append(rows)
    for bucket in rng.sample(sorted(buckets), len(buckets)):
        rng.shuffle(buckets[bucket])
        yield bucket, function(bucket, pa.concat_tables(buckets[bucket]))


def dedup(output, parts, config, rng):
    """Edges, clusters and the facts of the commits of pages dealt to parts."""
    output = str(output)
    signed = [sign(output, f"p{number}", pages, config) for number, pages in enumerate(parts)]
    emit = EmitKeys(output, config, signed)
    blocks = [block for number in range(len(parts)) for block in emit(Part("p", "", number))]
    for function in (link_keys, AttachPages(output, config, signed)):
        blocks = [block for _, found in regroup(blocks, function, rng) for block in found]
    commit = CommitEdges(output, config, signed)
    commits = []

    def commit_bucket(bucket, rows):
        with PartSink("dedup", output, Part(f"edges-{bucket}", "f" * 16, int(bucket))) as sink:
            commit(sink._part, rows, sink)
            commits.append(sink.publish())

    assert sorted(bucket for bucket, _ in regroup(blocks, commit_bucket, rng)) == sorted(
        str(number) for number in range(len(parts))
    )
    paths = sorted(path for found in commits for path in found.files.get("edges", {}).values())
    spec = EdgeFiles(tuple(paths), tuple(signed), sum(map(len, parts)))
    with PartSink("dedup", output, Part("clusters", "f" * 16, spec)) as sink:
        ClusterPages(output, config)(sink._part, sink)
        commits.append(sink.publish())
    facts = defaultdict(int)
    for found in commits:
        for name, amount in found.facts.items():
            facts[name] += amount
    files = commits[-1].files.get("clusters", {})
    clusters = read_table(output, [path for _, path in sorted(files.items())])
    edges = read_table(output, paths)
    return edges, clusters, dict(facts), commits[-1]


def as_set(clusters):
    return {tuple(row.values()) for row in clusters.to_pylist()}


def deal(pages, count):
    return [pages[number::count] for number in range(count)]


def test_pages_meet_whatever_the_parts_the_buckets_and_the_order(tmp_path):
    pages = near_duplicate_pages()
    rng = random.Random(1)
    expected = None
    for count, buckets in ((1, 1), (4, 7), (94, 64)):
        rng.shuffle(pages)
        config = DedupConfig(min_similarity=0.75, buckets=buckets)
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
    _, clusters, _, commit = dedup(tmp_path, parts, DedupConfig(), random.Random(3))
    assert sorted(commit.files["repeats"]) == ["p2", "p3"]
    assert commit.counts["distinct_pages"].rejected == {"same_record": 2}
    assert commit.counts["distinct_pages"].kept == 1
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
    config = DedupConfig(MinHashConfig(bands=60, rows=2), min_similarity=0.5, buckets=7)
    expected = None
    for trial in range(3):
        rng.shuffle(pages)
        _, clusters, facts, _ = dedup(tmp_path / str(trial), deal(pages, 3), config, rng)
        assert facts["cut_components"] == 1
        found = as_set(clusters)
        assert expected in (None, found)
        expected = found


def test_a_part_without_pages_has_a_commit(tmp_path):
    edges, clusters, facts, commit = dedup(tmp_path, [[], []], DedupConfig(), random.Random(5))
    assert (edges, clusters) == (None, None)
    assert facts["candidate_pairs"] == 0
    assert commit.counts["clusters"].kept == 0


@pytest.mark.parametrize("rows", [0, 3])
def test_signatures_come_back_from_their_table(tmp_path, rows):
    config = DedupConfig()
    pages = near_duplicate_pages()[:rows]
    files = sign(str(tmp_path), "p", pages, config)
    found = read_signed(str(tmp_path), files, config.minhash)
    values = to_signatures(found["signature"], config.minhash)
    assert values.shape == (rows, 112)
    assert (values == signatures([page[3] for page in pages], config.minhash)).all()

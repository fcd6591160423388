"""Block lists: what each kind blocks, the files they come in, and mistakes in them."""

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InputError, RecipeError
from transforms.block_lists import BlockListConfig, BlockLists

SHA = hashlib.sha256(b"an image").hexdigest()
OTHER_SHA = hashlib.sha256(b"another").hexdigest()
PHASH = 0x123456789ABCDEF0


@pytest.fixture
def lists(tmp_path):
    """Lists of one file a kind, given as lines."""

    def load(distance=4, **kinds):
        files = {}
        for kind, lines in kinds.items():
            path = tmp_path / f"{kind}.txt"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            files[kind] = (str(path),)
        return BlockLists.load(BlockListConfig(phash_distance=distance, **files))

    return load


def outcome(error):
    return error and error.outcome


def test_empty_lists_block_nothing():
    lists = BlockLists.load(BlockListConfig())
    assert lists.url("https://example.com/a.png") is None
    assert lists.image(SHA, PHASH) is None
    assert lists.images([], []) == []


@pytest.mark.parametrize(
    ("listed", "url", "blocked"),
    [
        ("example.com", "https://example.com/a.png", True),
        ("example.com", "https://a.example.com/a.png", True),
        ("example.com", "http://a.b.EXAMPLE.com:8080/a.png", True),
        ("example.com", "https://notexample.com/a.png", False),
        ("example.com", "https://example.com.evil.org/a.png", False),
        ("example.com", "https://com/example.com", False),
        ("example.com", "https://other.org/?u=example.com", False),
        ("example.com", "https://user@example.com/", True),
        ("example.com", "https://example.com@other.org/", False),
        ("example.com", "https://example.com./a.png", True),
        ("a.example.com", "https://example.com/a.png", False),
        ("Example.COM.", "https://example.com/", True),
        ("*.example.com", "https://a.example.com/", True),
        (".example.com", "https://example.com/", True),
        ("com", "https://example.com/", True),
        ("b\u00fccher.example", "https://www.xn--bcher-kva.example/", True),
        ("xn--bcher-kva.example", "https://B\u00dcCHER.example/", True),
        ("a_b.example", "https://a_b.example/", True),
        ("203.0.113.7", "http://203.0.113.7/", True),
        ("203.0.113.7", "http://3405803783/", True),
        ("113.7", "http://203.0.113.7/", False),
        ("[2001:db8::1]", "http://[2001:DB8:0::1]:80/", True),
        ("localhost", "http://localhost/", True),
    ],
)
def test_domain_blocks_itself_and_what_is_below(lists, listed, url, blocked):
    error = lists(domains=[listed]).url(url)
    assert outcome(error) == ("blocked_domain" if blocked else None)


def test_message_names_the_listed_domain(lists):
    error = lists(domains=["example.com"]).url("https://a.b.example.com/")
    assert str(error) == "example.com is on a block list"


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("https://example.com/a/b.png", True), ("HTTPS://EXAMPLE.com:443/a/./b.png#x", True),
        ("https://example.com/a/%62.png", True), ("http://example.com/a/b.png", False),
        ("https://example.com/a/b.png?c", False), ("https://example.com/a/b.pn", False),
        ("ftp://example.com/a/b.png", False), ("", False),
    ],
)  # fmt: skip
def test_url_is_compared_as_normalised(lists, url, blocked):
    loaded = lists(urls=["https://Example.com/x/../a/b.png"])
    assert outcome(loaded.url(url)) == ("blocked_url" if blocked else None)


def test_image_is_blocked_by_its_bytes(lists):
    loaded = lists(sha256=[SHA.upper()])
    assert outcome(loaded.image(SHA, None)) == "blocked_image"
    assert loaded.image(OTHER_SHA, PHASH) is None
    assert loaded.image(None, None) is None


@pytest.mark.parametrize(
    ("distance", "bits", "blocked"),
    [(4, 4, True), (4, 5, False), (0, 0, True), (0, 1, False), (16, 16, True), (16, 17, False)],
)
def test_image_is_blocked_by_its_looks(lists, distance, bits, blocked):
    loaded = lists(distance, phash=[f"{PHASH:016x}"])
    error = loaded.image(OTHER_SHA, PHASH ^ (1 << bits) - 1)
    assert outcome(error) == ("blocked_phash" if blocked else None)
    if error:
        assert str(error) == f"its perceptual hash is {bits} bits from one on a block list"


def test_sign_of_a_hash_makes_no_difference(lists):
    for entry in (-2, 2**64 - 2, "fffffffffffffffe"):
        loaded = lists(0, phash=[str(entry)])
        assert outcome(loaded.image(None, -2)) == "blocked_phash"
        assert loaded.image(None, 2) is None


def test_many_images_at_once_are_judged_as_one_by_one(lists):
    loaded = lists(2, sha256=[SHA], phash=[str(PHASH), "77"])
    hashes = [SHA, None, OTHER_SHA, None, OTHER_SHA, SHA]
    phashes = [PHASH, PHASH ^ 1, None, None, 78, None]
    found = loaded.images(hashes, phashes)
    expected = ["blocked_image", "blocked_phash", None, None, "blocked_phash", "blocked_image"]
    assert list(map(outcome, found)) == expected
    one_by_one = [loaded.image(*pair) for pair in zip(hashes, phashes, strict=True)]
    assert list(map(str, found)) == list(map(str, one_by_one))


VALUES = {
    "domain": ["example.com", "b.example"],
    "url": ["https://example.com/a,b", "http://b.example/"],
    "sha256": [SHA, OTHER_SHA],
    "phash": [f"{PHASH:016x}", "ffffffffffffffff"],
}


def write_table(path: Path, column: str, values: list) -> str:
    """A table with two columns, of the kind that the name of the file says."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"why": ["x"] * len(values), column: values}), path)
        return str(path)
    if name.endswith(".jsonl"):
        lines = [json.dumps({"why": "x", column: value}) for value in values]
    elif name.endswith((".csv", ".tsv")):
        text = io.StringIO()
        writer = csv.writer(text, delimiter="\t" if name.endswith(".tsv") else ",")
        writer.writerow(["why", column.upper()])
        writer.writerows(["x, y", value] for value in values)
        lines = [text.getvalue()]
    else:
        lines = ["\ufeff# a comment", "", *(f"  {value} # why\r" for value in values)]
    data = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.mark.parametrize("column", VALUES)
@pytest.mark.parametrize(
    "name",
    ["a.txt", "a", "a.txt.gz", "a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.parquet"],
)
def test_every_kind_of_file_holds_every_kind_of_list(tmp_path, name, column):
    (tmp_path / "plain").write_text("\n".join(VALUES[column]))
    kind = {"domain": "domains", "url": "urls"}.get(column, column)
    plain = BlockListConfig(**{kind: (str(tmp_path / "plain"),)})
    (tmp_path / "other").mkdir()
    file = write_table(tmp_path / "other" / name, column, VALUES[column])
    loaded = BlockLists.load(BlockListConfig(**{kind: (file,)}))
    assert loaded.identity == BlockLists.load(plain).identity
    assert loaded.identity != BlockLists.load(BlockListConfig()).identity


def test_numbers_and_bytes_of_parquet_are_entries(tmp_path):
    hashes = np.array([-1, 1234567890123456], np.int64)
    pq.write_table(pa.table({"phash": hashes}), tmp_path / "p.parquet")
    digest = bytes.fromhex(SHA)
    pq.write_table(pa.table({"sha256": pa.array([digest], pa.binary(32))}), tmp_path / "s.parquet")
    config = BlockListConfig(
        phash=(str(tmp_path / "p.parquet"),),
        sha256=(str(tmp_path / "s.parquet"),),
        phash_distance=0,
    )
    loaded = BlockLists.load(config)
    assert outcome(loaded.image(SHA, None)) == "blocked_image"
    assert outcome(loaded.image(None, -1)) == "blocked_phash"
    assert outcome(loaded.image(None, 1234567890123456)) == "blocked_phash"


def test_sixteen_decimal_digits_are_read_as_the_lines_beside_them(lists):
    digits = "1234567890123456"
    assert lists(0, phash=[digits]).image(None, int(digits, 16))
    assert lists(0, phash=["00000000000000ff", digits]).image(None, int(digits, 16))
    assert lists(0, phash=[digits, "-5"]).image(None, int(digits))
    assert lists(0, phash=["5", digits]).image(None, int(digits, 16)) is None


def test_lists_of_several_files_are_one(tmp_path):
    for name, text in {"a": "a.example\nb.example", "b": "c.example\na.example"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "c").write_text("c.example\nb.example\n\na.example\n")
    both = BlockLists.load(BlockListConfig(domains=(str(tmp_path / "a"), str(tmp_path / "b"))))
    assert both.url("https://c.example/")
    assert both.url("https://a.example/")
    one = BlockLists.load(BlockListConfig(domains=(str(tmp_path / "c"),)))
    assert both.identity == one.identity


def test_identity_tells_kinds_contents_and_distances_apart(lists):
    made = [
        lists(),
        lists(domains=["a.example"]),
        lists(domains=["b.example"]),
        lists(urls=["http://a.example/"]),
        lists(phash=["5"]),
        lists(5, phash=["5"]),
        lists(sha256=[SHA]),
    ]
    assert len({loaded.identity for loaded in made}) == len(made)
    assert lists(5).identity == lists(4).identity


MISTAKES = {
    "an URL as domain": (
        "domains",
        "a.txt",
        "a.example\nhttps://b.example/",
        "line 2: not a domain",
    ),
    "a line of a hosts file": ("domains", "a.txt", "0.0.0.0 a.example", "line 1: not a domain"),
    "a wildcard within": ("domains", "a.txt", "*ads.example", "line 1: not a domain"),
    "two domains": ("domains", "a.txt", "a.example,b.example", "line 1: not a domain"),
    "a filter rule": ("domains", "a.txt", "||a.example^", "line 1: not a domain"),
    "a host with a port": ("domains", "a.txt", "a.example:80", "line 1: not a domain"),
    "a dot": ("domains", "a.txt", "\n.\n", "line 2: not a domain"),
    "a relative URL": ("urls", "a.txt", "/a.png", "line 1: not an http or https URL"),
    "a short sha256": ("sha256", "a.txt", f"# x\n{SHA[:32]}", "line 2: not a sha256 of 64 hex"),
    "no hash": ("phash", "a.txt", "0123456789abcdeg", "line 1: neither 16 hex digits nor"),
    "a hash of 65 bits": ("phash", "a.txt", str(2**64), "line 1: neither"),
    "a negative hash too far": ("phash", "a.txt", str(-(2**63) - 1), "line 1: neither"),
    "hashes in two notations": ("phash", "a.txt", "-5\n00000000000000ff", "line 2: neither"),
    "no such column": ("domains", "a.csv", "a,b\nx,y", "line 1: names no column domain, but a, b"),
    "no header": ("domains", "a.csv", "a.example\nb.example", "line 1: names no column domain"),
    "hashes without a header": ("sha256", "a.csv", f"{'a' * 64}\n{SHA}", "line 1: names no column"),
    "a short row": ("domains", "a.csv", "why,domain\nx,a.example\ny", "line 3: no column domain"),
    "an empty cell": ("domains", "a.csv", "why,domain\nx,", "line 2: not a domain: ''"),
    "a broken quote": ("domains", "a.csv", 'domain\n"a.example"x', "line 2: ',' expected"),
    "not JSON": ("domains", "a.jsonl", '{"domain": "a.example"}\n{', "line 2: not JSON"),
    "nested JSON": ("domains", "a.jsonl", "[" * 100_000, "line 1: not JSON"),
    "no such key": ("domains", "a.jsonl", '{"a": 1, "b": 2}', "line 1: no key domain"),
    "null": ("domains", "a.jsonl", '{"domain": null}', "line 1: no text and no number as domain"),
    "a number as domain": ("domains", "a.jsonl", '{"domain": 5}', "line 1: not a domain"),
    "true": ("phash", "a.jsonl", '{"phash": true}', "line 1: no text and no number as phash"),
    "no gzip": ("domains", "a.txt.gz", "a.example", "cannot be read"),
    "no Parquet": ("domains", "a.parquet", "a.example", "cannot be read"),
}


@pytest.mark.parametrize(("kind", "name", "text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_names_file_and_line(tmp_path, kind, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        BlockLists.load(BlockListConfig(**{kind: (str(path),)}))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_bytes_that_are_no_text_are_a_mistake(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a.example\nb\xff.example\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: not UTF-8"):
        BlockLists.load(BlockListConfig(domains=(str(tmp_path / "a.txt"),)))


def test_cut_gzip_file_is_a_mistake(tmp_path):
    lines = "".join(f"{number}.example\n" for number in range(5000))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(lines.encode())[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        BlockLists.load(BlockListConfig(domains=(str(tmp_path / "a.txt.gz"),)))


def test_null_of_parquet_is_a_mistake(tmp_path):
    pq.write_table(pa.table({"domain": ["a.example", None]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="line 2: no text, number or bytes as domain"):
        BlockLists.load(BlockListConfig(domains=(str(tmp_path / "a.parquet"),)))


@pytest.mark.parametrize("place", ["missing.txt", "no://where/a.txt", "."])
def test_file_that_is_not_there_is_a_mistake(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        BlockLists.load(BlockListConfig(urls=(place,)))


@pytest.mark.parametrize("distance", [-1, 17])
def test_distance_out_of_range_is_refused(distance):
    with pytest.raises(RecipeError, match=r"block_lists\.phash_distance: 0 to 16, not"):
        BlockListConfig(phash_distance=distance)


def test_file_of_another_file_system_is_read():
    with fsspec.open("memory://lists/a.csv.gz", "wb") as file:
        file.write(gzip.compress(b"domain\na.example\n"))
    lists = BlockLists.load(BlockListConfig(domains=("memory://lists/a.csv.gz",)))
    assert lists.url("https://a.example/")


LABELS = st.lists(st.sampled_from(["a", "b", "ab", "example"]), min_size=1, max_size=4)


@given(st.lists(LABELS, min_size=1, max_size=5), LABELS)
def test_domains_are_blocked_by_whole_labels(tmp_path_factory, listed, asked):
    path = tmp_path_factory.mktemp("lists") / "domains"
    path.write_text("\n".join(".".join(labels) for labels in listed))
    lists = BlockLists.load(BlockListConfig(domains=(str(path),)))
    expected = any(asked[len(asked) - len(labels) :] == labels for labels in listed)
    assert (lists.url(f"https://{'.'.join(asked)}/") is not None) is expected

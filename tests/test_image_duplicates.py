"""Copies of pictures planted in a crawl of three sites: joined, counted, and told apart.

The same picture is scaled and encoded again, stands on many pages of one site or on many sites; two
pages show the same set; blank pictures look alike and are not.
"""

import hashlib
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from beam_runner import main
from tests.small_crawl import commits, picture, prose, response, rows, shards

WORDS = ["boat", "barn", "quay", "mill", "bridge", "tower", "meadow", "market", "orchard", "lamp"]
RECIPE = """
[dedup]
buckets = 2
[refs]
buckets = 2
[gates.shard.interleaved.image]
boilerplate = "NOT (image_documents > 2 AND image_sites = 1)"
"""
HARBOUR = "A harbour with two red boats at the quay"


def blank(side: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (250, 250, 250)).save(out, "PNG")
    return out.getvalue()


def copy(seed: int) -> bytes:
    return picture(seed, 260, "JPEG", quality=60)


def page(name: str, images: dict[str, bytes], year: int = 2024, alt: str = "") -> bytes:
    """A page, `site/name`, with pictures of its own site, by their names."""
    site, _, path = name.partition("/")
    site = f"https://{site}.example"
    figures = "".join(
        f'<figure><img src="/{image}" alt="{alt or f"The view {image} of {name}"}"></figure>'
        f"<p>{prose(name + image, 12)}</p>"
        for image in images
    )
    html = f"<html><title>{name}</title><article><h1>{name}</h1><p>{prose(name, 12)}</p>{figures}"
    date = f"{year}-01-01T00:00:00Z"
    data = response(f"{site}/{path}", "text/html", html.encode(), date)
    for image, body in images.items():
        data += response(f"{site}/{image}", "image/png", body, date)
    return data


def make_crawl(folder: Path) -> Path:
    crawl = folder / "crawl"
    crawl.mkdir()
    (crawl / "a.warc").write_bytes(
        page("north/harbour", {"big.png": picture(1, 400)}, 2021, HARBOUR)
        + page("north/set", {"2.png": picture(17, 400), "3.png": picture(18, 400)}, 2022)
        + page("north/one", {"mast.png": picture(4, 400)})
        + page("north/two", {"mast.png": picture(4, 400), "8.png": picture(28, 400)})
        + page("north/three", {"mast.jpg": copy(4), "9.png": picture(9, 400)})
        + page("north/agency", {"5.png": picture(8, 400), "6.png": picture(6, 400)})
        + page("north/blank", {"white.png": blank(300), "7.png": picture(7, 400)})
    )
    (crawl / "b.warc").write_bytes(
        page("south/harbour", {"small.jpg": copy(1)}, 2022, HARBOUR.upper())
        + page("south/set", {"quay3.jpg": copy(18), "quay2.png": picture(17, 300)}, 2023)
        + page("south/agency", {"crane.jpg": copy(8), "10.png": picture(10, 400)})
        + page("west/agency", {"crane.png": picture(8, 500), "11.png": picture(11, 400)})
        + page("west/blank", {"plain.png": blank(320), "12.png": picture(12, 400)})
    )
    return crawl


def run(folder: Path, *more: str) -> Path:
    (folder / "recipe.toml").write_text(RECIPE)
    arguments = ["run", str(folder / "recipe.toml"), "-i", str(folder / "crawl"), "-q"]
    assert main([*arguments, "-o", str(folder / "out"), *(more or ("-w", "1"))]) == 0
    return folder / "out"


def short(url: str) -> str:
    return url.removeprefix("https://").replace(".example", "")


def sample_pages(output: Path, stream: str) -> list[str]:
    facts = [json.loads(row["json"]) for row in rows(output, "samples") if row["stream"] == stream]
    return sorted(short(each.get("url") or each["page_url"]) for each in facts)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image-duplicates")
    make_crawl(folder)
    return run(folder)


def key(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def test_copies_are_one_cluster_led_by_the_largest(finished: Path) -> None:
    found = {row["id"]: row for row in rows(finished, "image_clusters")}
    clusters: dict[str, list[str]] = {}
    for row in sorted(found.values(), key=lambda row: row["rank"]):
        clusters.setdefault(row["cluster_id"], []).append(row["id"])
    several = {members[0]: members[1:] for members in clusters.values() if len(members) > 1}
    assert several == {
        key(picture(1, 400)): [key(copy(1))],
        key(picture(17, 400)): [key(picture(17, 300))],
        key(picture(18, 400)): [key(copy(18))],
        key(picture(4, 400)): [key(copy(4))],
        key(picture(8, 500)): [key(picture(8, 400)), key(copy(8))],
    }
    assert found[key(picture(1, 400))]["similarity"] == 1.0
    assert 60 / 64 <= found[key(copy(1))]["similarity"] <= 1.0
    assert len(found) == len({row["image_key"] for row in rows(finished, "image_answers")})


def test_documents_and_sites_are_those_of_all_copies(finished: Path) -> None:
    counts = {
        row["id"]: (row["documents"], row["sites"]) for row in rows(finished, "image_clusters")
    }
    assert counts[key(picture(4, 400))] == counts[key(copy(4))] == (3, 1), "boilerplate"
    for data in (picture(8, 400), picture(8, 500), copy(8)):
        assert counts[key(data)] == (3, 3), "syndicated"
    assert (
        counts[key(blank(300))] == counts[key(blank(320))] == counts[key(picture(6, 400))] == (1, 1)
    )
    refs = {short(row["image_url"]): row["documents"] for row in rows(finished, "image_refs")}
    assert refs["north/mast.png"] == 2, "a URL counts one copy"
    for table in ("candidates_nodes", "candidates_captions"):
        for row in rows(finished, table):
            if row["image_url"]:
                assert (row["image_documents"], row["image_sites"]) == counts[row["image_key"]]


def test_boilerplate_goes_and_what_was_syndicated_stays(finished: Path) -> None:
    told = [row for row in rows(finished, "ledger") if row["rule"] == "boilerplate"]
    pages = {row["doc_id"]: short(row["url"]) for row in rows(finished, "documents")}
    assert sorted(pages[row["id"]] for row in told) == ["north/one", "north/three", "north/two"]
    kept = sample_pages(finished, "interleaved")
    assert {"north/agency", "south/agency", "west/agency"} <= set(kept)


def test_one_caption_for_all_copies_of_an_image(finished: Path) -> None:
    texts = [row["txt"] for row in rows(finished, "samples") if row["stream"] == "captioned"]
    assert [text for text in texts if text.casefold() == HARBOUR.casefold()] == [HARBOUR.upper()]
    lost = [row for row in rows(finished, "ledger") if row["rule"] == "duplicate_pair"]
    assert len(lost) == 1
    captions = {row["caption_id"]: row["text"] for row in rows(finished, "captions")}
    assert (captions[lost[0]["id"]], captions[lost[0]["value_text"]]) == (HARBOUR, HARBOUR.upper())
    # Both pages stay: one picture makes no set.
    assert {"north/harbour", "south/harbour"} <= set(sample_pages(finished, "interleaved"))


def test_of_documents_with_the_same_images_the_latest_stays(finished: Path) -> None:
    pages = {row["doc_id"]: short(row["url"]) for row in rows(finished, "documents")}
    told = [row for row in rows(finished, "ledger") if row["rule"] == "same_images"]
    assert [(row["gate"], row["kind"], row["decisive"]) for row in told] == [
        ("shard.interleaved", "document", True)
    ]
    assert (pages[told[0]["id"]], pages[told[0]["value_text"]]) == ("north/set", "south/set")
    assert "south/set" in sample_pages(finished, "interleaved")
    for stream in ("interleaved", "text"):
        assert "north/set" not in sample_pages(finished, stream), "not by another stream either"


def test_counts_add_up(finished: Path) -> None:
    stages = json.loads((finished / "run.json").read_text())["stages"]
    for stage in ("dedup_images", "shard"):
        for counts in stages[stage]["tables"].values():
            assert counts["in"] == counts["kept"] + counts["rejected"] + counts["failed"]
    tables = stages["dedup_images"]["tables"]
    assert tables["distinct_images"]["in"] == tables["image_clusters"]["in"] == 20
    assert stages["dedup_images"]["facts"]["clusters_phash"] == 5
    assert stages["dedup_images"]["facts"]["images_in_clusters"] == 11
    assert stages["shard"]["tables"]["interleaved"]["rejected_by_rule"]["same_images"] == 1


def test_workers_parts_and_buckets_change_nothing(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "crawl").mkdir()
    # The same records, in other files and another order.
    for name, other in (("a.warc", "z.warc"), ("b.warc", "c.warc")):
        data = (finished.parent / "crawl" / name).read_bytes()
        (tmp_path / "crawl" / other).write_bytes(data)
    other = run(tmp_path, "-w", "2", "--set", "dedup.buckets=5", "--set", "refs.buckets=3")
    for table in ("image_clusters", "image_url_clusters", "distinct_images"):
        expected, found = (
            sorted(json.dumps(row, sort_keys=True) for row in rows(output, table))
            for output in (finished, other)
        )
        assert found == expected != []
    assert shards(other) == shards(finished) != {}


def made(output: Path, *changes: str) -> set[str]:
    """The steps of which a run with changes has made parts; shards keep their names."""
    before = commits(output)
    run(output.parent, "-w", "1", *(word for change in changes for word in ("--set", change)))
    return {name.partition("-")[0] for name in commits(output) - before}


def test_only_what_depends_on_a_change_is_made_again(tmp_path: Path) -> None:
    make_crawl(tmp_path)
    output = run(tmp_path)
    assert made(output) == set()
    rule = "gates.shard.interleaved.image.boilerplate=image_documents < 3 OR image_sites > 2"
    assert made(output, rule) == {"samples"}, "another spelling"
    again = made(output, rule, "dedup_images.min_set=0")
    assert again == {"samples", "shard"}
    assert "north/set" in sample_pages(output, "interleaved")
    again = made(output, "dedup_images.perceptual=false")
    assert again == {"distinct", "pairs", "image", "image_uses", "candidates", "samples", "shard"}
    facts = json.loads((output / "run.json").read_text())["stages"]["dedup_images"]["facts"]
    assert facts["images_in_clusters"] == 0
    assert len(rows(output, "image_clusters")) == 20
    made(output, "dedup_images.max_distance=0")
    clusters = {row["cluster_id"] for row in rows(output, "image_clusters")}
    assert 15 <= len(clusters) <= 20


def test_explain_shows_the_copies_of_an_image(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for asked in (key(copy(4))[:12], "https://north.example/mast.jpg"):
        assert main(["explain", str(finished), asked, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["pages"] == []
        (image,) = found["images"]
        assert (image["id"], image["rank"], image["size"]) == (key(copy(4)), 1, 2)
        assert (image["documents"], image["sites"]) == (3, 1)
        assert [member["id"] for member in image["members"]] == [key(picture(4, 400)), key(copy(4))]
    assert main(["explain", str(finished), key(copy(4))]) == 0
    told = capsys.readouterr().out
    assert "one of 2 copies, rank 1; used  on 3 pages of 1 sites" in told
    assert "400 x 400" in told
    assert main(["explain", str(finished), "f" * 32]) == 2
    assert "no image" in capsys.readouterr().err

"""What is in tars without an index: formats, members, images, texts, languages, damage.

Every tar is read once, front to back; sizes of images come from their headers, nothing is decoded.
Members of one key that stand side by side are a sample. A damaged file costs what is damaged: the
rest counts.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from pipeline.inspection.streams import Json
from pipeline.inspection.tallies import Tally, count_name, ranked, tally_facts
from pipeline.inspection.tar_files import is_image, iter_samples, map_files
from pipeline.inspection.targets import TarFile, TarFiles
from pipeline.progress import Done, Progress
from schemas.errors import InputRowError
from transforms import storage
from transforms.corpus_formats import sample_format
from transforms.corpus_webdataset import member_text
from transforms.image_headers import format_of, stored_size, tiff_frames
from transforms.input_rows import BadRow
from transforms.json_lines import decode_json
from transforms.tar_samples import Sample

MAX_SHOWN = 5
"""Problems of a tar that are kept."""
MAX_LANGUAGE = 20
"""Characters of what may be the name of a language."""
MAX_FRAMES = 10_000
"""Pictures of a TIFF that are counted."""
STATS = "_stats.json"
"""How the name of img2dataset's report on a tar ends."""

_NUMBER = re.compile(r"[0-9]+")


class About(msgspec.Struct):
    """What is read of the JSON of a sample, whoever wrote it; any value may be of any type."""

    key: Any = None
    doc_id: Any = None
    url: Any = None
    status: Any = None
    caption: Any = None
    captions: Any = None
    texts: Any = None
    images: Any = None
    scores: Any = None
    language: Any = None
    lang: Any = None
    LANGUAGE: Any = None


class Report(msgspec.Struct):
    """img2dataset's report on a tar."""

    count: int
    successes: int
    failed_to_download: int = 0
    failed_to_resize: int = 0
    status_dict: dict[str, int] = {}


@dataclass
class Scanned:
    """What one tar holds."""

    tar: TarFile
    tally: Tally = field(default_factory=Tally)
    format: str | None = None
    """That of its first sample of a known one."""
    problems: list[Json] = field(default_factory=list)
    """`key` (null: the whole tar) and `what`; `MAX_SHOWN` at most."""
    found: int = 0
    """Problems, also those that are not kept."""
    report: Report | None = None
    """What img2dataset says of it."""

    def problem(self, key: str | None, what: str) -> None:
        """Note what is wrong."""
        self.found += 1
        if len(self.problems) < MAX_SHOWN:
            self.problems.append({"key": key, "what": what})


def about_sample(sample: Sample) -> About:
    """The JSON of a sample; raises `InputRowError`."""
    if "json" not in sample.members:
        return About()
    return decode_json(sample.members["json"], About)


def told_format(sample: Sample, about: About) -> str | None:
    """Whose layout a sample has; None where it is of none that is known."""
    if about.doc_id is not None and about.key == sample.key:
        if isinstance(about.captions, list):
            return "Weft, captioned"
        if isinstance(about.texts, list):
            return "Weft, interleaved"
        return "Weft, text"
    name = sample_format(sample)
    if name == "webdataset" and None not in (about.url, about.key, about.status):
        return "img2dataset"
    return {"mint1t": "MINT-1T", "webdataset": "WebDataset pairs"}.get(name or "")


def text_length(sample: Sample, about: About) -> int | None:
    """Characters of a sample's interleaved texts, of its `.txt`, or of its caption.

    None where it has no text. Raises `InputRowError`.
    """
    if isinstance(about.texts, list):
        return sum(len(text) for text in about.texts if isinstance(text, str))
    for suffix in ("txt", "caption", "text"):
        if suffix in sample.members:
            return len(member_text(sample.members[suffix]))
    return len(about.caption) if isinstance(about.caption, str) else None


def _count(sample: Sample, scanned: Scanned) -> None:
    """Count a sample; raises `InputRowError` before anything is counted."""
    tally = scanned.tally
    about = about_sample(sample)
    length = text_length(sample, about)
    tally.samples += 1
    scanned.format = scanned.format or told_format(sample, about)
    if length is not None:
        tally.text_lengths[length] += 1
    for language in (about.language, about.lang, about.LANGUAGE):
        if isinstance(language, str) and language:
            count_name(tally.languages, language[:MAX_LANGUAGE])
            break
    images = 0
    for suffix, size in sample.sizes.items():
        name = _NUMBER.sub("N", suffix.rpartition(".")[0])
        kind = f"{name}.{suffix.rpartition('.')[2]}" if name else suffix
        count_name(tally.members, kind)
        # A suffix that came too late to be counted by its name has no bytes of its own either.
        count_name(tally.member_bytes, kind, size)
        if is_image(suffix):
            images += _count_image(sample.members[suffix], tally)
    tally.images[images] += 1


def _count_image(data: bytes, tally: Tally) -> int:
    """Count an image member; how many pictures it has. Their size is that of the first."""
    name, size = format_of(data), stored_size(data)
    tally.image_formats[name or "none that is known"] += 1
    if size is not None:
        tally.add_image(*size)
    return tiff_frames(data, MAX_FRAMES) if name == "tiff" else 1


def _scan(tar: TarFile, beside: Collection[str]) -> Scanned:
    """Read one tar; what is wrong with it is in the result."""
    scanned = Scanned(tar)
    try:
        for item in iter_samples(tar):
            if isinstance(item, BadRow):
                scanned.tally.damaged += 1
                scanned.problem(item.key, str(item.error))
                continue
            try:
                _count(item, scanned)
            except InputRowError as e:
                scanned.tally.damaged += 1
                scanned.problem(item.key, str(e))
    except OSError as e:
        scanned.problem(None, f"cannot be read: {e}")
    else:
        if not scanned.tally.samples and not scanned.found:
            scanned.problem(None, "holds no sample")
    _read_report(scanned, beside)
    return scanned


def _read_report(scanned: Scanned, beside: Collection[str]) -> None:
    """Read what img2dataset says of a tar, where it lies beside it."""
    name = scanned.tar.name.removesuffix(".tar") + STATS
    if name not in beside:
        return
    url = scanned.tar.url.removesuffix(".tar") + STATS
    try:
        report = msgspec.json.decode(storage.read_bytes(url) or b"", type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as e:
        scanned.problem(None, f"{name} cannot be read: {e}")
        return
    scanned.report = report
    if report.successes != scanned.tally.samples:
        scanned.problem(
            None,
            f"holds {scanned.tally.samples:,} samples that can be read, {name} tells of "
            f"{report.successes:,}",
        )


def scan_tars(files: TarFiles, quiet: bool = False) -> Iterator[Scanned]:
    """Read all tars, in threads; the results in the order of their names."""
    done = 0
    scan = partial(_scan, beside=files.beside)
    with Progress(quiet).step("reading", len(files.tars), lambda: Done(done), "tars"):
        for scanned in map_files(scan, files.tars):
            done += 1
            yield scanned


def foreign_facts(files: TarFiles, quiet: bool = False) -> Json:
    """What is in tars without an index, as JSON has it.

    Args:
        files: The tars.
        quiet: Report no progress.

    Returns:
        `output`: what was named. `complete`: whether nothing is wrong; `problems`: a line for each
        tar of which something is. `formats`: `format` (null where it is of none that is known),
        `shards`. `shards`; `bytes` of the files. What `tallies.tally_facts` tells.
        `shard_problems`: of each tar with a problem `shard`, `samples` (that can be read), `found`
        (problems), and `first`, a list of `key` (null: the tar) and `what`. `requests`: what
        img2dataset's reports say of their downloads, `count`, `successes`, `failed_to_download`,
        `failed_to_resize`, and `statuses`, a list of `status`, `requests`; null where there is no
        report.
    """
    total, formats = Tally(), Counter[str | None]()
    wrong: list[Scanned] = []
    reports: list[Report] = []
    for scanned in scan_tars(files, quiet):
        total.add(scanned.tally)
        formats[scanned.format] += 1
        if scanned.found:
            wrong.append(scanned)
        if scanned.report is not None:
            reports.append(scanned.report)
    named = sorted(formats.items(), key=lambda item: (-item[1], item[0] or ""))
    return {
        "output": files.target,
        "complete": not wrong,
        "problems": [_problem_line(scanned) for scanned in wrong],
        "formats": [{"format": name, "shards": count} for name, count in named],
        "shards": len(files.tars),
        "bytes": sum(tar.bytes for tar in files.tars),
        **tally_facts(total),
        "shard_problems": [
            {
                "shard": scanned.tar.name,
                "samples": scanned.tally.samples,
                "found": scanned.found,
                "first": scanned.problems,
            }
            for scanned in wrong
        ],
        "requests": _requests(reports),
    }


def _problem_line(scanned: Scanned) -> str:
    first = scanned.problems[0]
    key = "" if first["key"] is None else f"{first['key']}: "
    more = f" (and {scanned.found - 1:,} more)" if scanned.found > 1 else ""
    return f"{scanned.tar.name}: {key}{first['what']}{more}"


def _requests(reports: list[Report]) -> Json | None:
    if not reports:
        return None
    statuses: Counter[str] = Counter()
    for report in reports:
        for status, count in report.status_dict.items():
            count_name(statuses, status[:200], count)
    names = ("count", "successes", "failed_to_download", "failed_to_resize")
    return {
        **{name: sum(getattr(report, name) for report in reports) for name in names},
        "statuses": ranked(statuses, "status", "requests"),
    }

"""Fetch: ask for the planned URLs of a part, decode what comes, keep it in packs.

Every URL that was asked for, or refused, gets a row of `images` with its outcome. Bytes are kept as
received once their own headers, the block lists and a decoder have nothing against them. What a
part had no time to ask for gets no row, and is planned again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass, replace

import xxhash

from schemas import ids
from schemas.errors import DataError, FetchError, ImageError
from schemas.fetch_rows import RobotsFile, Thumbnail
from schemas.outcomes import OK, REFUSALS, is_outcome
from schemas.rows import Image
from schemas.tables import to_batch
from transforms.block_lists import BlockListConfig, BlockLists
from transforms.consent import opt_out_reason
from transforms.decode_pool import BATCH_IMAGES, Decoded, DecodePool
from transforms.fetch_config import PRODUCT, FetchConfig
from transforms.fetch_plan import RESTING, Planned, SliceFile, read_planned
from transforms.fetch_robots import RobotsBook, read_robots, robots_fetcher
from transforms.http_fetch import Answer, Fetcher, fetch_all
from transforms.image_facts import ImageFactsConfig, outcome_of
from transforms.ledger import refused_image
from transforms.packs import PackWriter
from transforms.sink import MAX_MESSAGE, Part, PartSink

STAGE = "fetch"
STEP_VERSION = 1

THUMBNAILS = 32
"""Thumbnails a part keeps, about: reports show a few hundred of millions of images."""
_DECODING = 2 * BATCH_IMAGES
"""Bodies that wait for each decoder: enough to keep it busy, and no more in memory."""


@dataclass(frozen=True, slots=True)
class FetchFiles:
    """What a part asks for, and the robots.txt files of its hosts."""

    slices: tuple[SliceFile, ...]
    robots: tuple[str, ...]
    at_once: int = 1
    """Parts that ask at the same time: they share the hosts that redirects lead to."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a part has learnt of hosts, beside its answers."""

    robots: list[RobotsFile]
    resting: list[str]


@dataclass(eq=False)
class FetchImages:
    """Part function: the planned URLs of some slices."""

    output: str
    config: FetchConfig
    image: ImageFactsConfig
    pack_bytes: int
    block_lists: BlockListConfig

    def setup(self) -> None:
        """Load the block lists, once a worker."""
        self._blocked = BlockLists.load(self.block_lists)

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Ask, decode, pack; one row of `images` for each answer."""
        files: FetchFiles = part.spec
        planned = read_planned(self.output, files.slices)
        known = read_robots(self.output, files.robots, planned)
        with PackWriter(self.output, self.pack_bytes) as packs:
            answers = Answers(planned, packs, self._blocked, self.config, sink)
            found = asyncio.run(self._ask(planned, known, answers, files.at_once))
            names = packs.close()
        sink.commit.packs = names
        sink.commit.details[RESTING] = found.resting
        for bucket, rows in sorted(answers.rows_by_bucket(names).items()):
            sink.write("images", to_batch(rows, Image), file=f"answers-{bucket}")
        # Hosts that only a redirect led to are in no plan; what they said is kept all the same.
        sink.write("robots", to_batch(found.robots, RobotsFile), file="redirected")

    async def _ask(
        self,
        planned: dict[str, Planned],
        known: dict[str, RobotsFile],
        answers: "Answers",
        at_once: int,
    ) -> "Learnt":
        config = self.config
        share = min(1.0, THUMBNAILS / len(planned))
        decoding = asyncio.Semaphore(_DECODING * config.decoders)

        def permit(url: str) -> FetchError | Awaitable[FetchError | None] | None:
            blocked = self._blocked.url(url)
            if blocked is None and config.robots:
                return robots.refusal(url)
            return blocked

        async def decode(answer: Answer) -> None:
            try:
                if (refused := answers.refusal(answer)) is not None:
                    answers.add(answer, refused)
                    return
                small = shows(answer.body, share)
                try:
                    answers.add(answer, await pool.decode(answer.body, thumbnail=small))
                except DataError as error:
                    answers.add(answer, error)
            finally:
                decoding.release()

        async with (
            robots_fetcher(config) as for_robots,
            DecodePool(config.decoders, config.decode_seconds, self.image) as pool,
            Fetcher(config, permit=permit, shares_elsewhere=at_once) as fetcher,
            asyncio.TaskGroup() as tasks,
        ):
            robots = RobotsBook(known, for_robots, fetcher.slow_down, config.max_wait_seconds)
            if config.robots:
                robots.slow_down_all()
            requests = [item.request for item in planned.values()]
            async with contextlib.aclosing(
                fetch_all(fetcher, requests, seconds=config.part_seconds)
            ) as found:
                async for answer in found:
                    await decoding.acquire()
                    tasks.create_task(decode(answer))
            resting = sorted({*fetcher.resting(), *for_robots.resting()})
        return Learnt(sorted(robots.asked, key=lambda row: row.origin), resting)


def shows(body: bytes, share: float) -> bool:
    """Whether an image is one of those that get a thumbnail: by its content, so always the same."""
    return xxhash.xxh3_64_intdigest(body) < share * 2**64


class Answers:
    """The rows of a part, as its answers come in."""

    def __init__(
        self,
        planned: dict[str, Planned],
        packs: PackWriter,
        blocked: BlockLists,
        config: FetchConfig,
        sink: PartSink,
    ) -> None:
        self._planned = planned
        self._packs = packs
        self._blocked = blocked
        self._config = config
        self._sink = sink
        self._rows: list[tuple[str, Image, int | None]] = []

    def refusal(self, answer: Answer) -> FetchError | None:
        """What forbids the use of an answer before it is decoded."""
        if answer.outcome != OK:
            return FetchError(answer.outcome, answer.message or answer.outcome)
        reason = opt_out_reason(answer.headers, self._config.opt_out, PRODUCT)
        return None if reason is None else FetchError("opt_out", reason)

    def add(self, answer: Answer, result: Decoded | DataError) -> None:
        """Count an answer, and keep its bytes where nothing is wrong with them."""
        self._sink.seen("image_urls")
        row = self._bare(answer)
        if isinstance(result, Decoded):
            facts = result.facts
            hit = self._blocked.image(facts.sha256, facts.phash)
            if hit is None:
                self._keep(answer, row, result)
                return
            # What a list names is not kept, not even in a pack.
            row = replace(row, sha256=facts.sha256, phash=facts.phash)
            self._refuse(row, hit)
        else:
            self._refuse(row, result)

    def rows_by_bucket(self, packs: list[str]) -> dict[str, list[Image]]:
        """All rows by bucket of domains, in the order of their URLs."""
        found: dict[str, list[Image]] = {}
        for bucket, row, pack in sorted(self._rows, key=lambda item: item[1].image_url):
            named = row if pack is None else replace(row, pack=packs[pack])
            found.setdefault(bucket, []).append(named)
        return found

    def _bare(self, answer: Answer) -> Image:
        return Image(
            answer.url,
            None,
            answer.outcome,
            self._planned[answer.url].attempt,
            status=answer.status,
            content_type=answer.content_type,
            final_url=answer.final_url,
            answered_at=answer.answered_at,
        )

    def _keep(self, answer: Answer, row: Image, decoded: Decoded) -> None:
        facts = decoded.facts
        key = ids.image_key(facts.sha256)
        slot = self._packs.add(key, facts.format, answer.body)
        row = replace(
            row, image_key=key, offset=slot.offset, size=slot.size, width=facts.width,
            height=facts.height, format=facts.format, mode=facts.mode, frames=facts.frames,
            orientation=facts.orientation, sha256=facts.sha256, phash=facts.phash,
        )  # fmt: skip
        self._sink.count("image_urls", kept=1)
        self._rows.append((self._planned[answer.url].bucket, row, slot.pack))
        if (small := decoded.thumbnail) is not None:
            self._sink.write_row(
                "thumbnails", Thumbnail(key, small.width, small.height, small.jpeg)
            )

    def _refuse(self, row: Image, error: DataError) -> None:
        outcome = outcome_of(error) if isinstance(error, ImageError) else error.error
        assert is_outcome(outcome), outcome
        message = str(error)[:MAX_MESSAGE]
        row = replace(row, outcome=outcome, message=message)
        self._rows.append((self._planned[row.image_url].bucket, row, None))
        typed = FetchError(outcome, message)
        if outcome in REFUSALS:
            self._sink.reject("image_urls", refused_image(row.image_url, typed))
        else:
            self._sink.fail("image_urls", row.image_url, typed)

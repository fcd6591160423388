"""Processes that decode: the same facts, and what is left of a crash, a hang, a bomb, an end."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from schemas.errors import DataError, FetchError, ImageError, NotAnImageError, TooManyPixelsError
from tests.conftest import hang_guard
from transforms import decode_worker
from transforms.decode_pool import BATCH_IMAGES, DecodePool
from transforms.image_facts import ImageFactsConfig, read_image_facts, read_picture
from transforms.thumbnails import make_thumbnail

CONFIG = ImageFactsConfig()
LONG = 300.0


@pytest.fixture(autouse=True)
def _must_end():
    with hang_guard():
        yield


def encode(image, image_format="png", **options):
    out = io.BytesIO()
    image.save(out, image_format.upper(), **options)
    return out.getvalue()


def picture(seed, width=96, height=64):
    rough = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)


OTHERS = set()
"""Processes that other tests have left to this one."""


@pytest.fixture(autouse=True)
def forget_the_others():
    OTHERS.clear()
    OTHERS.update(psutil.Process().children())


def children():
    return [child for child in psutil.Process().children() if child not in OTHERS]


def has_started(child):
    """Whether a worker is past its imports: its standard input is not the socket any more."""
    try:
        return os.readlink(f"/proc/{child.pid}/fd/0") == os.devnull
    except FileNotFoundError:
        return False  # it has ended


async def busy(number):
    """Wait until a worker works on something: it runs and is no longer waiting for its socket."""
    process = psutil.Process(number)
    before = process.cpu_times().user
    while process.is_running() and process.cpu_times().user < before + 0.05:
        await asyncio.sleep(0.01)


SLOW = encode(Image.new("RGB", (9900, 9900)), "webp", lossless=True, method=0)
"""Takes more than a second to decode: what is done to a worker that is busy with it is in time."""


def outcome(result):
    return result.outcome if isinstance(result, FetchError) else type(result).__name__


def facts_or_error(data):
    try:
        return read_image_facts(data, CONFIG)
    except ImageError as error:
        return type(error), str(error)


async def decoded_or_error(pool, data):
    try:
        return (await pool.decode(data)).facts
    except ImageError as error:
        return type(error), str(error)


def test_answers_are_those_of_read_image_facts():
    images = [
        encode(picture(seed), image_format)
        for seed, image_format in enumerate(["jpeg", "png", "gif", "webp", "bmp", "tiff", "avif"])
    ]
    cmyk = encode(picture(8).convert("CMYK"), "jpeg")
    images += [cmyk, images[0][:-40], images[1][:60], b"", b"<html>", b"<svg/>", b"x" * 3_000_000]

    async def run():
        async with DecodePool(2, LONG, CONFIG) as pool:
            return await asyncio.gather(*(decoded_or_error(pool, data) for data in images))

    assert asyncio.run(run()) == [facts_or_error(data) for data in images]


def test_bounds_of_the_recipe_are_those_of_the_workers():
    async def run():
        async with DecodePool(1, LONG, ImageFactsConfig(max_pixels=100)) as pool:
            await pool.decode(encode(picture(0)))

    with pytest.raises(TooManyPixelsError, match="96 x 64 pixels, above 100"):
        asyncio.run(run())


def test_thumbnail_is_made_only_when_asked():
    data = encode(picture(0, 400, 300), "jpeg")

    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:
            return await pool.decode(data), await pool.decode(data, thumbnail=True)

    without, with_one = asyncio.run(run())
    assert without.thumbnail is None
    facts, frame = read_picture(data, CONFIG)
    assert with_one.thumbnail == make_thumbnail(data, facts, frame)
    assert (with_one.facts, without.facts) == (facts, facts)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_killed_worker_costs_its_image_only(number):
    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:
            await pool.decode(encode(picture(0)))
            (child,) = children()
            slow = asyncio.create_task(pool.decode(SLOW))
            await busy(child.pid)
            others = [
                asyncio.create_task(decoded_or_error(pool, encode(picture(n)))) for n in range(3)
            ]
            await asyncio.sleep(0)
            child.send_signal(number)
            with pytest.raises(FetchError, match=f"ended by {number.name}") as caught:
                await slow
            assert caught.value.outcome == "decode_crash"
            assert children() != [child]
            return await asyncio.gather(*others)

    assert asyncio.run(run()) == [facts_or_error(encode(picture(n))) for n in range(3)]
    assert children() == []


def test_worker_that_ended_between_images_costs_one_image_at_most():
    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:
            await pool.decode(encode(picture(0)))
            (child,) = children()
            child.kill()
            while child.status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)
            with pytest.raises(FetchError, match="ended by SIGKILL"):
                await pool.decode(b"x" * 3_000_000)
            return await pool.decode(encode(picture(1)))

    assert asyncio.run(run()).facts == read_image_facts(encode(picture(1)), CONFIG)


@pytest.mark.parametrize("sent", [1, 20])
def test_stopped_worker_is_the_timeout_of_an_image_that_was_alone(sent):
    async def run():
        async with DecodePool(1, 4.0, CONFIG) as pool:
            await pool.decode(encode(picture(0)))
            (stopped,) = children()
            stopped.send_signal(signal.SIGSTOP)
            tasks = [pool.decode(encode(picture(n))) for n in range(sent)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert stopped not in children()
            return results

    results = asyncio.run(run())
    if sent > 1:
        assert [result.facts for result in results] == [
            read_image_facts(encode(picture(n)), CONFIG) for n in range(sent)
        ]
    else:
        assert outcome(results[0]) == "decode_timeout"
        assert str(results[0]) == "not decoded within 4 s"


def test_image_that_ends_the_worker_is_told_from_those_that_came_with_it():
    bomb = encode(Image.new("RGBA", (7000, 7000)), compress_level=1)
    images = [encode(picture(n)) for n in range(2 * BATCH_IMAGES)]
    images[3] = images[-1] = bomb

    async def run():
        async with DecodePool(1, LONG, CONFIG, memory=300 << 20) as pool:
            tasks = [pool.decode(data) for data in images]
            return await asyncio.gather(*tasks, return_exceptions=True)

    for data, result in zip(images, asyncio.run(run()), strict=True):
        if data is bomb:
            assert outcome(result) == "decode_crash"
        else:
            assert result.facts == read_image_facts(data, CONFIG)


def test_worker_without_a_parent_to_stop_it_has_an_end():
    async def run():
        pool = DecodePool(1, LONG, CONFIG)
        pool._config = replace(pool._config, alarm_seconds=0.05)
        async with pool:
            await pool.decode(SLOW)

    with pytest.raises(FetchError, match="ended by SIGALRM"):
        asyncio.run(run())


def test_memory_bomb_ends_the_worker_and_not_the_next():
    bomb = encode(Image.new("RGBA", (7000, 7000)), compress_level=1)

    async def run():
        async with DecodePool(1, LONG, CONFIG, memory=300 << 20) as pool:
            with pytest.raises(FetchError, match="ran out of memory") as caught:
                await pool.decode(bomb)
            assert caught.value.outcome == "decode_crash"
            return await pool.decode(encode(picture(0)))

    assert asyncio.run(run()).facts == read_image_facts(encode(picture(0)), CONFIG)


@pytest.mark.parametrize("image_format", ["webp", "avif", "tiff", "png"])
def test_memory_limit_holds_the_largest_image_that_is_allowed(image_format):
    image = Image.linear_gradient("L").resize((4000, 2500)).convert("RGBA")
    image.putalpha(image.getchannel(0))
    options = {"webp": {"method": 0}, "avif": {"speed": 10}, "png": {"compress_level": 1}}
    data = encode(image, image_format, **options.get(image_format, {}))
    config = ImageFactsConfig(max_pixels=4000 * 2500)

    async def run():
        async with DecodePool(1, LONG, config) as pool:
            return await pool.decode(data, thumbnail=True)

    assert asyncio.run(run()).facts.width == 4000


def test_no_image_is_lost_among_crashes():
    images = [encode(picture(n)) if n % 40 else SLOW for n in range(200)]
    killed = set()

    async def kill_some():
        while True:
            for child in children():
                if len(killed) < 5 and child.pid not in killed and has_started(child):
                    await busy(child.pid)
                    killed.add(child.pid)
                    child.kill()
            await asyncio.sleep(0.05)

    async def run():
        async with DecodePool(2, LONG, CONFIG) as pool:
            killer = asyncio.create_task(kill_some())
            tasks = [pool.decode(data) for data in images]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            killer.cancel()
            return results

    results = asyncio.run(run())
    crashed = [result for result in results if isinstance(result, FetchError)]
    assert 1 <= len(crashed) <= len(killed)
    assert {error.outcome for error in crashed} == {"decode_crash"}
    known = {data: read_image_facts(data, CONFIG) for data in images}
    for data, result in zip(images, results, strict=True):
        assert isinstance(result, FetchError) or result.facts == known[data]


def test_callers_are_served_in_order():
    done = []

    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:

            async def one(number):
                await pool.decode(encode(picture(number)))
                done.append(number)

            await asyncio.gather(*map(one, range(20)))

    asyncio.run(run())
    assert done == list(range(20))


def test_cancelled_caller_does_not_leave_its_answer_to_the_next():
    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:
            slow = asyncio.create_task(pool.decode(SLOW))
            (child,) = children()
            while not has_started(child):
                await asyncio.sleep(0.01)
            await busy(child.pid)
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            return await pool.decode(encode(picture(5)))

    assert asyncio.run(run()).facts == read_image_facts(encode(picture(5)), CONFIG)


def test_pool_leaves_no_process_and_no_file_open():
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    async def use():
        async with DecodePool(1, LONG, CONFIG) as pool:
            await pool.decode(encode(picture(0)))
            for child in children():
                child.kill()
            await asyncio.gather(*(pool.decode(b"x") for _ in range(2)), return_exceptions=True)

    async def run():
        await use()
        before = open_files()
        await use()
        assert children() == []
        assert open_files() == before

    asyncio.run(run())


def test_workers_inherit_nothing_and_print_nothing(capfd):
    async def run():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server, DecodePool(1, LONG, CONFIG) as pool:
            await pool.decode(encode(picture(0)))
            (child,) = children()
            folder = Path(f"/proc/{child.pid}/fd")
            targets = sorted(os.readlink(link) for link in folder.iterdir())
            # A TIFF whose directory is broken makes the library print.
            broken = encode(picture(0), "tiff")
            await decoded_or_error(pool, broken[:-300])
            return targets, child.net_connections("inet")

    targets, connections = asyncio.run(run())
    assert connections == []
    assert targets[:3] == [os.devnull] * 3
    assert [target.partition(":")[0] for target in targets[3:]] == ["socket"]
    assert capfd.readouterr() == ("", "")


def test_worker_imports_the_decoders_and_no_pipeline():
    code = "import sys, transforms.decode_worker; print(*sys.modules)"
    root = Path(decode_worker.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    tops = {name.partition(".")[0] for name in found}
    assert "PIL" in tops
    assert not tops & {"apache_beam", "pyarrow", "duckdb", "aiohttp", "fsspec", "asyncio", "grpc"}


def test_pool_works_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "PIL.py").write_text("raise SystemExit('taken from the working directory')")

    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:
            return await pool.decode(encode(picture(0)))

    assert asyncio.run(run()).facts.width == 96


def test_worker_that_never_starts_is_an_error_that_crashes(monkeypatch):
    monkeypatch.setattr(sys, "path", [])

    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:
            await pool.decode(encode(picture(0)))

    with pytest.raises(RuntimeError, match=r"do not start .*exit status 1\)(.|\n)*Error") as caught:
        asyncio.run(run())
    assert not isinstance(caught.value, DataError)
    assert children() == []


PARENT = """
import asyncio, sys
from transforms.decode_pool import DecodePool
from transforms.image_facts import ImageFactsConfig

async def main():
    data = open(sys.argv[1], "rb").read()
    async with DecodePool(2, 600.0, ImageFactsConfig()) as pool:
        await asyncio.gather(pool.decode(b"GIF89a"), return_exceptions=True)
        print("ready", flush=True)
        while True:
            await pool.decode(data)

asyncio.run(main())
"""


def test_killed_parent_leaves_no_worker_even_while_one_decodes(tmp_path):
    (tmp_path / "slow.webp").write_bytes(SLOW)
    root = Path(decode_worker.__file__).parents[1]
    command = [sys.executable, "-c", PARENT, str(tmp_path / "slow.webp")]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"ready\n"
        workers = psutil.Process(parent.pid).children()
        assert len(workers) == 2
        asyncio.run(asyncio.wait_for(any_busy(workers), 60))
        parent.kill()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert (len(gone), alive) == (2, [])


async def any_busy(workers):
    waiting = [asyncio.create_task(busy(worker.pid)) for worker in workers]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def test_pool_in_a_thread_works():
    """As in a worker of Beam, whose functions never run on the main thread."""

    async def run():
        async with DecodePool(1, LONG, CONFIG) as pool:
            with pytest.raises(NotAnImageError):
                await pool.decode(b"nothing")
            return await pool.decode(encode(picture(0)))

    assert asyncio.run(asyncio.to_thread(asyncio.run, run())).facts.height == 64

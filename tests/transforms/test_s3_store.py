"""Files in a real S3 store, with and without faults."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.errors import ImageMissingError, StoreError
from schemas.rows import Locator
from tests.store_server import BUCKET, FAULTS, Faults, FaultyStore, client, uploads
from transforms import storage
from transforms.packs import PackWriter, read_images, read_windows

PART = 8 * 1024 * 1024
LARGE = random.Random(0).randbytes(2 * PART + 1000)


@pytest.fixture
def store(
    s3_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyStore]:
    """A bucket, empty below the name of the test, and a proxy without faults before it."""
    # Tries follow at once; how long they wait is botocore's business.
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *a, **b: 0.01)
    with FaultyStore(s3_url) as proxy:
        for name, value in proxy.environment.items():
            monkeypatch.setenv(name, value)
        client(s3_url).create_bucket(Bucket=BUCKET)
        yield proxy


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> str:
    return f"s3://{BUCKET}/{request.node.name}"


def below(folder: str) -> str:
    return folder.removeprefix(f"s3://{BUCKET}/")


def put(url: str, data: bytes, piece: int = 1 << 20) -> None:
    with storage.publish(url) as file:
        for start in range(0, len(data), piece):
            file.write(data[start : start + piece])


def fail_after(url: str, data: bytes) -> None:
    with storage.publish(url) as file:
        file.write(data)
        raise RuntimeError("in the middle")


def test_a_small_file_is_one_request_and_a_large_one_an_upload_of_parts(
    store: FaultyStore, folder: str
) -> None:
    put(f"{folder}/small", b"data")
    put(f"{folder}/empty", b"")
    assert store.kinds() == {"PUT": 2}
    store.forget()
    put(f"{folder}/large", LARGE)
    assert store.kinds() == {"CREATE-UPLOAD": 1, "PART": 3, "COMPLETE": 1}
    store.forget()
    assert storage.read_bytes(f"{folder}/small") == b"data"
    assert storage.read_bytes(f"{folder}/empty") == b""
    assert storage.read_bytes(f"{folder}/large") == LARGE
    assert storage.read_bytes(f"{folder}/none") is None
    assert store.kinds() == {"GET": 4}, "no size is asked for first"


def test_nothing_is_there_before_a_file_is_whole(store: FaultyStore, folder: str) -> None:
    with storage.publish(f"{folder}/file") as file:
        file.write(LARGE)
        assert store.count("PART") == 1
        assert storage.read_bytes(f"{folder}/file") is None
        assert storage.list_names(folder) == []
    assert storage.list_sizes(folder) == {"file": len(LARGE)}


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
def test_an_exception_while_writing_publishes_nothing_and_leaves_nothing(
    data: bytes, store: FaultyStore, folder: str
) -> None:
    put(f"{folder}/file", b"old")
    with pytest.raises(RuntimeError, match="in the middle"):
        fail_after(f"{folder}/file", data)
    assert storage.read_bytes(f"{folder}/file") == b"old"
    assert storage.find_uploads(folder) == []
    assert store.count("ABORT") == (data is LARGE)


def test_an_upload_that_could_not_be_dropped_is_found_and_dropped(
    store: FaultyStore, folder: str, s3_url: str
) -> None:

    def write() -> None:
        with storage.publish(f"{folder}/a") as file:
            file.write(LARGE)
            store.break_on = f"{below(folder)}/a"
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write()
    store.break_on = ""
    (found,) = storage.find_uploads(folder)
    assert (found.path, found.size) == ("a", len(LARGE))
    assert storage.find_uploads(f"{folder}/a-other-folder") == []
    for _ in range(2):  # the second time it is gone already
        storage.drop_upload(f"{folder}/a", found.upload)
        assert uploads(s3_url) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_ridden_out(fault: str, store: FaultyStore, folder: str) -> None:
    store.faults = Faults(0, 1.0, (fault,), most=2)
    put(f"{folder}/small", LARGE[:1000])
    put(f"{folder}/large", LARGE)
    assert storage.read_bytes(f"{folder}/small") == LARGE[:1000]
    fs, path = storage.resolve(f"{folder}/large")
    with fs.open(path, "rb") as file:
        assert file.read() == LARGE
    assert fs.cat_ranges([path] * 2, [5, PART], [5000, PART + 99]) == [
        LARGE[5:5000],
        LARGE[PART : PART + 99],
    ]
    assert storage.list_sizes(folder) == {"small": 1000, "large": len(LARGE)}
    assert [file.path for file in storage.find_files(folder)] == ["large", "small"]
    storage.remove(f"{folder}/small")
    assert storage.list_names(folder) == ["large"]
    assert store.met()[fault] >= 6


def test_an_upload_that_was_completed_unheard_stands(store: FaultyStore, folder: str) -> None:
    store.forgets = True
    store.faults = Faults(0, 1.0, ("lost-answer",), most=1)
    put(f"{folder}/file", LARGE)
    assert store.count("COMPLETE") == 2
    store.faults = None
    assert storage.read_bytes(f"{folder}/file") == LARGE


def test_an_upload_that_somebody_dropped_is_an_error(store: FaultyStore, folder: str) -> None:
    put(f"{folder}/file", b"old")
    store.forgets = True

    def write() -> None:
        with storage.publish(f"{folder}/file") as file:
            file.write(LARGE)
            (found,) = storage.find_uploads(folder)
            storage.drop_upload(f"{folder}/file", found.upload)

    with pytest.raises(FileNotFoundError):
        write()
    assert storage.read_bytes(f"{folder}/file") == b"old"


def test_pages_of_a_listing_are_followed_and_asked_for_again(
    store: FaultyStore, folder: str
) -> None:
    names = [f"{number:04d}.json" for number in range(1050)]
    there = client(store.server)
    with ThreadPoolExecutor(16) as pool:
        keys = [f"{below(folder)}/{name}" for name in names]
        list(pool.map(lambda key: there.put_object(Bucket=BUCKET, Key=key, Body=b"x"), keys))
    store.faults = Faults(0, 1.0, ("cut-answer", "slow-down"), most=1)
    assert storage.list_names(folder) == names
    assert store.count("LIST") >= 3
    assert len(storage.find_files(folder)) == len(names)
    store.faults = None
    store.forget()
    some = [f"{folder}/{name}" for name in [*names[:40], "none"]]
    assert storage.read_many(some) == [b"x"] * 40 + [None]
    storage.remove_many(some)
    assert storage.list_names(folder) == names[40:], "no listing is remembered"


def test_an_outage_is_an_error_that_names_the_object_and_the_cause(
    store: FaultyStore, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(f"{folder}/file", b"data")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    fs, path = storage.resolve(f"{folder}/file")
    store.forget()
    store.down = True
    told = f"^{folder}/file: the store failed in every try: OSError: We encountered"
    for call in (
        lambda: storage.read_bytes(f"{folder}/file"),
        lambda: put(f"{folder}/file", b"new"),
        lambda: storage.remove(f"{folder}/file"),
        lambda: fs.cat_file(path, start=0, end=2),
    ):
        with pytest.raises(StoreError, match=told):
            call()
    for ask in (fs.isfile, fs.isdir, fs.exists, fs.info):
        with pytest.raises(StoreError, match=f"^{folder}/file/?: the store failed"):
            ask(path)
    with pytest.raises(StoreError, match=f"^{folder}/: the store failed"):
        storage.list_names(folder)
    assert store.count("PUT") == 2, "tries are those of AWS_MAX_ATTEMPTS"


def test_a_store_out_of_reach_and_missing_rights_name_the_place(
    store: FaultyStore, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match="bucket does not exist"):
        storage.check_folder("s3://no-such-bucket/out")
    storage.check_folder(folder)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=f"^{folder}/file: the store failed.*EndpointConnection"):
        storage.read_bytes(f"{folder}/file")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(PermissionError, match=f"^{folder}/file: .*credentials"):
        storage.read_bytes(f"{folder}/file")


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """Image key -> bytes; too large for neighbours but one to be read as one range."""
    rng = random.Random(1)
    return {f"{number:032x}": rng.randbytes(70_000) for number in range(180)}


def write_pack(output: str, pictures: dict[str, bytes]) -> dict[str, Locator]:
    with PackWriter(output, 1 << 30) as packs:
        slots = {key: packs.add(key, "jpg", data) for key, data in pictures.items()}
        (name,) = packs.close()
    return {key: Locator(name, slot.offset, slot.size) for key, slot in slots.items()}


def test_images_are_read_64_at_a_time_by_no_more_ranges_than_there_are(
    store: FaultyStore, folder: str, pictures: dict[str, bytes]
) -> None:
    places = write_pack(folder, pictures)
    assert store.count("PART") == 2
    wanted = list(pictures)[::2]
    store.forget()
    store.pause = 0.2
    windows = [(0, [places[key] for key in wanted]), (1, [places[key] for key in wanted[:5]])]
    found = dict(read_windows(folder, windows))
    assert [found[0][places[key]] for key in wanted] == [pictures[key] for key in wanted]
    assert len(found[1]) == 5
    assert store.kinds() == {"GET-RANGE": len(wanted) + 5}, "no sizes are asked for"
    assert store.most_at_once["GET-RANGE"] >= 64
    # Neighbours are one range.
    store.forget()
    read_images(folder, [places[key] for key in list(pictures)[:40]])
    assert store.kinds() == {"GET-RANGE": 1}


def test_a_store_that_fails_loses_no_image_and_a_lost_pack_is_told(
    store: FaultyStore, folder: str, pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = next(iter(pictures))
    place = write_pack(folder, {key: pictures[key]})[key]
    lost = Locator("0" * 32 + ".tar", 0, 10)
    short = Locator(place.pack, 60_000, 70_000)
    behind = Locator(place.pack, 1 << 30, 10)
    found = read_images(folder, [place, lost, short, behind])
    assert found[place] == pictures[key]
    for each in (lost, short, behind):
        assert isinstance(found[each], ImageMissingError), each
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store.down = True
    with pytest.raises(StoreError, match=place.pack):
        read_images(folder, [place])


def test_files_tell_their_age(store: FaultyStore, folder: str) -> None:
    put(f"{folder}/a/b", b"data")
    (file,) = storage.find_files(folder)
    assert (file.path, file.size) == ("a/b", 4)
    assert file.changed is not None
    assert abs(file.changed - time.time()) < 86400

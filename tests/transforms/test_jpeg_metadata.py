import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transforms.jpeg_metadata import has_several_frames, parse_jpeg, strip_location

GPS, MAKE, COPYRIGHT, EXIF_IFD = 0x8825, 0x010F, 0x8298, 0x8769
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {} photoshop:Credit="A. Person"'
    ">{}</rdf:Description></x:xmpmeta>"
)


def jpeg(exif: bytes | Image.Exif | None = None, xmp: bytes | None = None, **options: int) -> bytes:
    picture = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    out = io.BytesIO()
    extra = ({"exif": exif} if exif is not None else {}) | ({"xmp": xmp} if xmp else {})
    picture.save(out, "JPEG", **extra, **options)
    return out.getvalue()


def camera_exif(order: str = "<", gps: bool = True) -> Image.Exif:
    exif = Image.Exif()
    exif.endian = order
    exif[MAKE], exif[COPYRIGHT] = "Camera Works", "A. Person"
    exif.get_ifd(EXIF_IFD)[0x9003] = "2020:01:02 03:04:05"
    if gps:
        exif.get_ifd(GPS).update({1: "N", 2: (48.0, 8.0, 30.5), 3: "E", 4: (11.0, 34.0, 12.5)})
    return exif


def stripped(data: bytes) -> bytes:
    layout = parse_jpeg(data)
    assert layout
    return strip_location(data, layout)


def coded(data: bytes) -> bytes:
    """Everything but the application segments: tables, frame, coded data."""
    layout = parse_jpeg(data)
    assert layout
    pieces, position = [], 2
    for segment in layout.segments:
        pieces.append(data[position : segment.start])
        if not 0xE0 <= segment.marker <= 0xEF:
            pieces.append(data[segment.start : segment.end])
        position = segment.end
    return b"".join([*pieces, data[position : layout.end]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_gps_goes_and_the_rest_of_exif_and_all_pixels_stay(order: str, progressive: int) -> None:
    data = jpeg(camera_exif(order), progressive=progressive)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(GPS)
    clean = stripped(data)
    assert len(clean) == len(data)
    assert coded(clean) == coded(data)
    exif = Image.open(io.BytesIO(clean)).getexif()
    assert dict(exif.get_ifd(GPS)) == {}
    assert GPS not in exif
    assert (exif[MAKE], exif[COPYRIGHT]) == ("Camera Works", "A. Person")
    assert exif.get_ifd(EXIF_IFD)[0x9003] == "2020:01:02 03:04:05"
    # The numbers themselves are gone, not only what points at them.
    assert struct.pack(order + "II", 61, 2) not in clean
    assert struct.pack(order + "II", 61, 2) in data


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg(camera_exif(gps=False)),
        jpeg(xmp=XMP.format("", "").encode()),
        jpeg() + b"\r\n trailing words",
        jpeg(b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),
    ],
    ids=["plain", "exif", "xmp", "trailer", "broken exif"],
)
def test_file_without_location_is_the_same_object(data: bytes) -> None:
    assert stripped(data) is data


@pytest.mark.parametrize(
    ("xmp", "credit_stays"),
    [
        (XMP.format("exif:GPSLatitude=\"48,8.5N\" exif:GPSLongitude = '11,34E'", ""), True),
        (XMP.format('drone-dji:GpsLatitude="48.1" drone-dji:Longtitude="11.5"', ""), True),
        (XMP.format("", "<exif:GPSLatitude>48,8.5N</exif:GPSLatitude>"), False),
    ],
    ids=["attributes", "drone", "elements"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_gps_goes_from_xmp(xmp: str, credit_stays: bool, encoding: str) -> None:
    data = jpeg(xmp=xmp.encode(encoding))
    clean = stripped(data)
    assert coded(clean) == coded(data)
    text = clean.replace(b"\0", b"").lower()
    assert b"gps" not in text
    assert b"titude" not in text
    assert b"48" not in text.split(b"\xff\xdb")[0]
    assert (b"a. person" in text) == (credit_stays and encoding == "utf-8")


def test_gps_goes_from_extended_xmp() -> None:
    data = jpeg()
    payload = b"http://ns.adobe.com/xmp/extension/\0" + b"G" * 32 + bytes(8)
    parts = b""
    for piece in (b"<rdf exif:GPSLat", b"itude='1,2N'/>"):
        parts += b"\xff\xe1" + struct.pack(">H", 2 + len(payload + piece)) + payload + piece
    assert stripped(data[:2] + parts + data[2:]) == data


def test_exif_over_two_segments_with_gps_is_dropped() -> None:
    data, exif = jpeg(), camera_exif().tobytes()
    parts = b""
    for piece in (exif[6:60], exif[60:]):
        parts += b"\xff\xe1" + struct.pack(">H", 8 + len(piece)) + b"Exif\0\0" + piece
    assert stripped(data[:2] + parts + data[2:]) == data


@pytest.mark.parametrize(
    "trailer",
    [jpeg(camera_exif()), b"\0\0\0\x18ftypmp42" + b"moov" * 40, b"<x:xmpmeta GPS"],
    ids=["picture", "film", "xmp"],
)
def test_file_behind_the_picture_is_cut_off(trailer: bytes) -> None:
    assert stripped(jpeg() + trailer) == jpeg()


def hostile_exif(entries: list[tuple[int, int, int, int]]) -> bytes:
    block = struct.pack("<4sIH", b"II*\0", 8, len(entries))
    for entry in entries:
        block += struct.pack("<HHII", *entry)
    return b"Exif\0\0" + block + bytes(4) + bytes(20)


@pytest.mark.parametrize(
    "exif",
    [
        hostile_exif([(GPS, 4, 1, 0xFFFFFF00)]),
        hostile_exif([(GPS, 4, 1, 8)]),
        hostile_exif([(GPS, 4, 1, 0), (MAKE, 2, 100_000, 4)]),
        hostile_exif([(EXIF_IFD, 4, 1, 8), (GPS, 4, 1, 30)]),
    ],
    ids=["outside", "itself", "nothing", "loop"],
)
def test_hostile_gps_directory_never_survives(exif: bytes) -> None:
    data = jpeg()
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif
    clean = stripped(data[:2] + segment + data[2:])
    assert coded(clean) == coded(data)
    assert GPS not in Image.open(io.BytesIO(clean)).getexif()


# Pillow warns of broken blocks; that is not what is looked at here.
@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_exif_never_raises_and_never_touches_pixels(draw: st.DataObject) -> None:
    data = bytearray(jpeg(camera_exif()))
    layout = parse_jpeg(bytes(data))
    assert layout
    exif = next(s for s in layout.segments if data[s.start + 4 : s.start + 8] == b"Exif")
    for _ in range(draw.draw(st.integers(1, 6))):
        place = draw.draw(st.integers(exif.start + 10, exif.end - 1))
        data[place] = draw.draw(st.integers(0, 255))
    clean = stripped(bytes(data))
    assert coded(clean) == coded(bytes(data))
    left = Image.Exif()
    payload = clean.split(b"Exif\0\0", 1)
    if len(payload) == 2 and payload[1][:4] in (b"II*\0", b"MM\0*"):
        left.load(Image.open(io.BytesIO(clean)).info["exif"])
        assert GPS not in left


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8\xff", jpeg()[:-2], jpeg()[:300], b"\xff\xd8\xff\xd9", jpeg()[:2] + b"junk"],
    ids=["empty", "start", "no end", "cut", "no frame", "junk"],
)
def test_what_cannot_be_followed_has_no_layout(data: bytes) -> None:
    assert parse_jpeg(data) is None


def test_layout_counts_scans_and_frames() -> None:
    plain, progressive = parse_jpeg(jpeg()), parse_jpeg(jpeg(progressive=1))
    assert plain
    assert progressive
    assert (plain.frame, plain.scans, plain.end) == (0xC0, 1, len(jpeg()))
    assert progressive.frame == 0xC2
    assert progressive.scans > 5
    out = io.BytesIO()
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(out, "MPO", save_all=True, append_images=frames[1:])
    layout = parse_jpeg(out.getvalue())
    assert layout
    assert has_several_frames(out.getvalue(), layout)
    assert not has_several_frames(jpeg(), plain)

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evoconv.data.decode import bring_to, decode_file, read_header, read_picture
from evoconv.data.image_set import Pixels, Preprocessing
from evoconv.errors import DataError
from tests.data.files import draw, encode, encode_png_16, encode_tiff, load, write_tree


def form(height: int, width: int, channels: int = 3, bit_depth: int = 8) -> Preprocessing:
    return Preprocessing(height=height, width=width, channels=channels, bit_depth=bit_depth)


def draw_16(seed: int, *shape: int) -> npt.NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "how"), [("png", {}), ("bmp", {}), ("tif", {}), ("webp", {"lossless": True})]
)
def test_lossless_files_give_back_their_pixels(
    kind: str, how: dict[str, bool], channels: int
) -> None:
    pixels = draw(0, 7, 9, channels)
    data = encode(pixels.squeeze(), kind, **how)
    assert np.array_equal(decode_file(data, form(7, 9, channels)), pixels)


def test_a_jpeg_comes_close_to_its_pixels() -> None:
    pixels = np.repeat(np.arange(0, 240, 15, dtype=np.uint8)[:, None], 16, axis=1)
    decoded = decode_file(encode(pixels, "jpg", quality=95), form(16, 16, 1))
    assert np.abs(decoded[:, :, 0].astype(int) - pixels).max() < 8


@pytest.mark.parametrize("filter_type", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_of_16_bits_keeps_them_all_and_drops_alpha(channels: int, filter_type: int) -> None:
    pixels = draw_16(1, 6, 5, channels)
    picture = read_picture(encode_png_16(pixels, filter_type), "x.png")
    kept = 1 if channels < 3 else 3
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels, pixels[..., :kept])
    assert picture.had_alpha == (channels in (2, 4))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_of_16_bits_keeps_them_all(channels: int, order: str, packed: bool) -> None:
    pixels = draw_16(2, 6, 5, channels)
    samples = pixels.astype(f"{order}u2").tobytes()
    data = encode_tiff(samples, pixels.shape, 16, order=order, packed=packed)
    assert np.array_equal(read_picture(data, "x.tif").pixels, pixels)


def test_a_tiff_of_packed_12_bit_samples_is_understood() -> None:
    values = np.random.default_rng(3).integers(0, 4096, (4, 6))
    pairs = values.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1
    ).astype(np.uint8)
    picture = read_picture(encode_tiff(packed.tobytes(), (4, 6, 1), 12), "x.tif")
    assert np.array_equal(picture.pixels[:, :, 0], values)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_honoured(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 80
    upright[8:, 16:] = 240
    # How a camera would store the upright picture, by the definition of the tag.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(stored), kind, exif=exif)
    header = read_header(data, "x")
    assert (header.height, header.width) == (16, 32)
    decoded = decode_file(data, form(16, 32, 1))[:, :, 0].astype(int)
    assert np.abs(decoded - upright).max() < 30


def test_16_bit_colour_is_turned_upright_too() -> None:
    pixels = draw_16(4, 4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 3
    png = encode_png_16(pixels)
    chunk = exif.tobytes()[6:]
    body = b"eXIf" + chunk
    extra = struct.pack(">I", len(chunk)) + body + struct.pack(">I", zlib.crc32(body))
    turned = png[:33] + extra + png[33:]
    assert np.array_equal(read_picture(turned, "x").pixels, pixels[::-1, ::-1])


def test_alpha_is_dropped_not_blended() -> None:
    pixels = draw(5, 4, 4, 4)
    pixels[..., 3] = 0
    picture = read_picture(encode(pixels), "x.png")
    assert picture.had_alpha
    assert np.array_equal(picture.pixels, pixels[..., :3])


def test_a_palette_image_gives_its_colours_also_with_transparency() -> None:
    image = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120] + [0] * 756)
    file = BytesIO()
    image.save(file, "png", transparency=bytes([0, 128, 255, 255]))
    picture = read_picture(file.getvalue(), "x.png")
    assert picture.had_alpha
    assert picture.pixels[1, 1].tolist() == [100, 110, 120]


def test_a_bilevel_image_becomes_black_and_white() -> None:
    image = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    file = BytesIO()
    image.save(file, "png")
    assert decode_file(file.getvalue(), form(2, 2, 1))[:, :, 0].tolist() == [[0, 255], [255, 0]]


def test_the_first_page_of_several_is_read() -> None:
    pages = [Image.fromarray(draw(seed, 5, 5)) for seed in range(3)]
    file = BytesIO()
    pages[0].save(file, "tiff", save_all=True, append_images=pages[1:])
    picture = read_picture(file.getvalue(), "x.tif")
    assert picture.had_more_pages
    assert np.array_equal(picture.pixels[:, :, 0], np.asarray(pages[0]))


def test_grey_is_luma_and_equal_channels_are_kept() -> None:
    pixels = draw(6, 8, 8, 3)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    assert np.array_equal(decode_file(encode(pixels), form(8, 8, 1))[:, :, 0], expected)
    equal = np.repeat(pixels[..., :1], 3, axis=2)
    assert np.array_equal(decode_file(encode(equal), form(8, 8, 1)), equal[..., :1])


@given(st.integers(0, 65535))
def test_luma_keeps_equal_channels_of_any_depth(value: int) -> None:
    pixels = np.full((1, 1, 3), value, np.uint16)
    assert bring_to(pixels, form(1, 1, 1, 16), "x").item() == value


def test_a_grey_image_has_three_equal_channels_in_a_coloured_set() -> None:
    pixels = draw(7, 4, 4)
    decoded = decode_file(encode(pixels), form(4, 4, 3))
    assert np.array_equal(decoded, np.repeat(pixels[..., None], 3, axis=2))


@given(st.sampled_from([10, 12, 14, 16]))
def test_8_bits_among_deeper_ones_reach_from_black_to_white(bit_depth: int) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    scaled = bring_to(every, form(16, 16, 1, bit_depth), "x").ravel()
    exact = np.arange(256) * (2**bit_depth - 1) / 255
    assert scaled[0] == 0
    assert scaled[-1] == 2**bit_depth - 1
    assert np.abs(scaled - exact).max() <= 0.5


def test_deep_values_are_kept_in_a_deep_set() -> None:
    pixels = draw_16(8, 4, 4, 1) % 4096
    assert np.array_equal(decode_file(encode_png_16(pixels), form(4, 4, 1, 12)), pixels)


def test_too_deep_an_image_for_a_set_is_refused() -> None:
    data = encode_png_16(np.full((4, 4, 1), 300, np.uint16))
    with pytest.raises(DataError, match="pixel values up to 300, but 8-bit images are expected"):
        decode_file(data, form(4, 4, 1))


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "bmp", "tif"])
def test_a_truncated_file_is_named(kind: str, tmp_path: Path) -> None:
    how = {"compression": "tiff_lzw"} if kind == "tif" else {}
    path = tmp_path / f"part.{kind}"
    data = encode(draw(9, 40, 40, 3), kind, **how)
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DataError, match=f"part.{kind} is "):
        decode_file(path, form(40, 40))


@given(st.binary(max_size=200))
def test_nonsense_is_refused_as_data(data: bytes) -> None:
    with pytest.raises(DataError, match="is no PNG, JPEG, WebP, BMP or TIFF image"):
        decode_file(data, form(4, 4))


@given(
    st.sampled_from(["png", "jpg", "webp", "bmp", "tif"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_file_with_changed_bytes_decodes_or_is_refused(
    kind: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(encode(draw(10, 12, 12, 3), kind))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        decoded: Pixels = decode_file(bytes(data), form(12, 12))
    except DataError:
        return
    assert decoded.shape == (12, 12, 3)


def test_a_picture_that_declares_too_many_pixels_is_refused_before_it_is_made() -> None:
    huge = Image.new("1", (12_000, 9_000))
    file = BytesIO()
    huge.save(file, "png")
    with pytest.raises(DataError, match="larger than an image may be"):
        decode_file(file.getvalue(), form(4, 4))


def test_an_enormous_picture_is_refused_as_well() -> None:
    data = bytearray(encode(draw(11, 4, 4), "bmp"))
    data[18:26] = (60_000).to_bytes(4, "little") * 2
    with pytest.raises(DataError, match="larger than an image may be"):
        decode_file(bytes(data), form(4, 4))


def test_floating_point_pixels_are_refused() -> None:
    file = BytesIO()
    Image.fromarray(np.zeros((3, 3), np.float32)).save(file, "tiff")
    with pytest.raises(DataError, match="32-bit or signed pixels"):
        decode_file(file.getvalue(), form(3, 3))


def test_signed_pixels_are_refused() -> None:
    data = bytearray(encode_tiff(bytes(18), (3, 3, 1), 16))
    # The entry for the planar layout becomes one for the sample format: signed integers.
    entry = data.index(struct.pack("<HHIHH", 284, 3, 1, 1, 0))
    data[entry : entry + 12] = struct.pack("<HHIHH", 339, 3, 1, 2, 0)
    with pytest.raises(DataError, match="32-bit or signed pixels"):
        decode_file(bytes(data), form(3, 3))


def test_separate_planes_of_16_bits_are_refused_rather_than_misread() -> None:
    data = bytearray(encode_tiff(bytes(54), (3, 3, 3), 16))
    entry = data.index(struct.pack("<HHIHH", 284, 3, 1, 1, 0))
    data[entry + 8] = 2
    with pytest.raises(DataError, match="16-bit samples stored in a way that isn't understood"):
        decode_file(bytes(data), form(3, 3))


def test_a_bmp_of_16_bits_per_pixel_is_an_ordinary_colour_image() -> None:
    header = struct.pack("<2sIHHI", b"BM", 70 + 8, 0, 0, 70)
    info = struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, 16, 3, 8, 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xF800, 0x07E0, 0x001F, 0)
    rows = struct.pack("<4H", 0x001F, 0xFFFF, 0xF800, 0x07E0)
    decoded = decode_file(header + info + masks + rows, form(2, 2))
    assert decoded.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]]


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_damaged_metadata_does_not_cost_the_image(exif: bytes, tmp_path: Path) -> None:
    data = encode(draw(13, 6, 6), "jpg", exif=exif)
    assert decode_file(data, form(6, 6, 1)).shape == (6, 6, 1)
    opened = load(write_tree(tmp_path, {"a/1.jpg": data, "b/1.jpg": data}))
    assert opened.input_shape == (1, 6, 6)


def test_other_formats_are_refused() -> None:
    file = BytesIO()
    Image.fromarray(draw(12, 4, 4)).save(file, "gif")
    with pytest.raises(DataError, match="is no PNG"):
        decode_file(file.getvalue(), form(4, 4))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can't read .*gone.png: No such file"):
        decode_file(tmp_path / "gone.png", form(4, 4))

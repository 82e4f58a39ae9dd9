from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evoconv.data.decode import decode_file
from evoconv.data.image_set import RESIZE_POLICIES
from evoconv.data.sources import DataOptions, load_image_set
from evoconv.errors import DataError
from tests.data.files import draw, encode, encode_png_16, load, tree_of, write_tree


def test_the_default_size_is_the_median_of_the_images(tmp_path: Path) -> None:
    sizes = [(10, 20), (12, 22), (30, 60)]
    files = {
        f"{name}/{row}.png": encode(draw(row, *size))
        for name in "ab"
        for row, size in enumerate(sizes)
    }
    opened = load(write_tree(tmp_path, files))
    assert opened.input_shape == (1, 12, 22)
    assert opened.notes == (
        "Images of 10x20 to 30x60 were brought to 12x22 (height x width, fit).",
    )


def test_the_default_size_is_scaled_down_to_64_on_the_longer_side(tmp_path: Path) -> None:
    opened = load(write_tree(tmp_path, tree_of(size=(100, 200))))
    assert opened.input_shape == (1, 32, 64)


@pytest.mark.parametrize(
    ("least", "shape"),
    [((32, 32), (1, 32, 64)), ((33, 16), (1, 33, 64)), ((40, 65), (1, 40, 65))],
)
def test_a_default_size_is_at_least_the_least(
    least: tuple[int, int], shape: tuple[int, int, int], tmp_path: Path
) -> None:
    source = write_tree(tmp_path, tree_of(size=(100, 200)))
    size = "{}x{}".format(*least)
    assert load(source, least_size=size).input_shape == shape
    assert load(source, least_size=size, image_size="48").input_shape == (1, 48, 48)


def test_the_size_counts_after_turning_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        f"{name}/{row}.jpg": encode(draw(row, 20, 40), "jpg", exif=exif)
        for name in "ab"
        for row in range(2)
    }
    assert load(write_tree(tmp_path, files)).input_shape == (1, 40, 20)


@pytest.mark.parametrize(
    ("image_size", "shape"), [("48", (1, 48, 48)), ("20x30", (1, 20, 30)), ("20X30", (1, 20, 30))]
)
def test_a_chosen_size_is_height_by_width(
    image_size: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    opened = load(write_tree(tmp_path, tree_of()), image_size=image_size)
    assert opened.input_shape == shape


def mixed_tree() -> dict[str, bytes]:
    """Return one image of every kind, in two classes."""
    rgba = encode(draw(1, 30, 20, 4))
    palette = BytesIO()
    Image.fromarray(draw(2, 25, 25, 3)).quantize(16).save(palette, "png")
    pages = BytesIO()
    Image.fromarray(draw(3, 9, 9)).save(
        pages, "tiff", save_all=True, append_images=[Image.fromarray(draw(4, 9, 9))]
    )
    deep = np.random.default_rng(5).integers(0, 4000, (40, 30, 3)).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 8
    return {
        "a/alpha.png": rgba,
        "a/palette.png": palette.getvalue(),
        "a/pages.tif": pages.getvalue(),
        "b/deep.png": encode_png_16(deep, 1),
        "b/grey_deep.png": encode_png_16(deep[..., :1] // 2),
        "b/turned.jpg": encode(draw(6, 21, 33, 3), "jpg", exif=exif),
        "b/web.webp": encode(draw(7, 64, 12, 3), "webp"),
        "b/plain.bmp": encode(draw(8, 8, 8)),
    }


@pytest.mark.parametrize("resize", RESIZE_POLICIES)
def test_a_single_file_gives_the_pixels_the_cache_holds(resize: str, tmp_path: Path) -> None:
    write_tree(tmp_path, mixed_tree())
    opened = load(tmp_path, image_size="24x16", resize=resize)
    assert opened.preprocessing.bit_depth == 12
    assert opened.input_shape == (3, 24, 16)
    for row, name in enumerate(opened.names):
        from_path = decode_file(tmp_path / name, opened.preprocessing)
        from_bytes = decode_file((tmp_path / name).read_bytes(), opened.preprocessing)
        assert np.array_equal(opened.images[row], from_path)
        assert np.array_equal(opened.images[row], from_bytes)


def test_what_was_dropped_or_changed_is_noted(tmp_path: Path) -> None:
    notes = load(write_tree(tmp_path, mixed_tree())).notes
    assert notes == (
        "Images of 8x8 to 40x30 were brought to 32x20 (height x width, fit).",
        "6 images of 8 bits were scaled to the 12 bits of the others.",
        "Transparency (alpha) was dropped from 1 image.",
        "Only the first page or frame was read of 1 image.",
    )


def test_three_equal_channels_everywhere_are_read_as_one(tmp_path: Path) -> None:
    grey = [draw(row, 6, 6) for row in range(4)]
    files = {
        f"{'ab'[row % 2]}/{row}.png": encode(np.stack([pixels] * 3, axis=2))
        for row, pixels in enumerate(grey)
    }
    opened = load(write_tree(tmp_path / "grey", files))
    assert opened.input_shape == (1, 6, 6)
    assert np.array_equal(opened.images[..., 0], [grey[row] for row in (0, 2, 1, 3)])
    assert opened.notes == ("Images with three equal channels were read as one channel.",)
    nearly = np.stack([grey[3]] * 3, axis=2)
    nearly[5, 5, 2] ^= 1
    coloured = load(write_tree(tmp_path / "coloured", files | {"b/3.png": encode(nearly)}))
    assert coloured.input_shape == (3, 6, 6)


@pytest.mark.parametrize(
    ("largest", "bit_depth"),
    [(255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (16384, 16), (65535, 16)],
)
def test_the_depth_is_what_the_values_need_not_what_the_file_has_room_for(
    largest: int, bit_depth: int, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, largest, (4, 5, 5)).astype(np.uint16)
    pixels[2, 0, 0] = largest
    files = {
        f"{'ab'[row % 2]}/{row}.png": encode_png_16(one[..., None])
        for row, one in enumerate(pixels)
    }
    opened = load(write_tree(tmp_path, files))
    assert opened.preprocessing.bit_depth == bit_depth
    assert opened.images.dtype == (np.uint8 if bit_depth == 8 else np.uint16)
    assert np.array_equal(opened.images[..., 0], pixels[[0, 2, 1, 3]])


def test_a_bad_image_is_named_or_skipped_with_a_note(tmp_path: Path) -> None:
    files = tree_of(count=8, size=(40, 40))
    files["cat/3.png"] = b"no image at all"
    files["dog/2.png"] = files["dog/2.png"][:500]
    write_tree(tmp_path, files)
    with pytest.raises(DataError, match=r"cat/3.png is no PNG"):
        load(tmp_path)
    opened = load(tmp_path, skip_bad_images=True)
    assert opened.names == tuple(name for name in files if name not in ("cat/3.png", "dog/2.png"))
    assert opened.notes[0].startswith("2 images skipped that can't be read: cat/3.png is no PNG")
    assert "dog/2.png is damaged or truncated" in opened.notes[0]
    (tmp_path / "cat" / "3.png").unlink()
    with pytest.raises(DataError, match=r"dog/2.png is damaged or truncated"):
        load(tmp_path)


def test_nothing_but_bad_images_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/1.png": b"x", "b/1.png": b"y"})
    with pytest.raises(DataError, match=r"none of the 2 images can be read; the first: a/1.png"):
        load(tmp_path, skip_bad_images=True)


def test_a_class_of_bad_images_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, tree_of() | {"cow/1.png": b"x"})
    with pytest.raises(DataError, match="has no training images of cow"):
        load(tmp_path, skip_bad_images=True)


def test_a_long_decoding_tells_of_its_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evoconv.data.prepare._QUIET_S", 0.0)
    told: list[str] = []
    load_image_set(write_tree(tmp_path, tree_of(count=10)), DataOptions(), notify=told.append)
    assert told == [f"decoding 20 images: {percent} %" for percent in range(10, 100, 10)]

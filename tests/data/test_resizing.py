import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evoconv.data.image_set import RESIZE_POLICIES
from evoconv.data.resizing import resized
from tests.data.files import draw

sides = st.integers(1, 70)


@given(sides, sides, sides, sides, st.sampled_from(RESIZE_POLICIES), st.sampled_from([1, 3]))
def test_any_size_becomes_any_other_and_a_plain_image_stays_plain(
    height: int, width: int, new_height: int, new_width: int, policy: str, channels: int
) -> None:
    for value, dtype in ((200, np.uint8), (4095, np.uint16)):
        plain = np.full((height, width, channels), value, dtype)
        scaled = resized(plain, new_height, new_width, policy)
        assert scaled.shape == (new_height, new_width, channels)
        assert scaled.dtype == dtype
        assert (scaled == value).all()


@given(sides, sides, sides, sides, st.sampled_from(RESIZE_POLICIES))
def test_16_bits_are_resized_as_8_are(
    height: int, width: int, new_height: int, new_width: int, policy: str
) -> None:
    pixels = draw(0, height, width, 1)
    shallow = resized(pixels, new_height, new_width, policy)
    deep = resized(pixels.astype(np.uint16), new_height, new_width, policy)
    # Pillow works in fixed point on 8 bits, and rounds twice.
    assert np.abs(shallow.astype(int) - deep).max() <= 1


@pytest.mark.parametrize("policy", RESIZE_POLICIES)
def test_the_right_size_is_left_alone(policy: str) -> None:
    pixels = draw(1, 6, 9, 3)
    assert resized(pixels, 6, 9, policy) is pixels


def test_fit_keeps_the_aspect_ratio_centres_and_repeats_the_edge() -> None:
    pixels = np.zeros((10, 20, 1), np.uint8)
    pixels[0], pixels[-1] = 100, 200
    fitted = resized(pixels, 20, 20, "fit")[:, :, 0]
    assert np.array_equal(fitted[5:15], pixels[:, :, 0])
    assert (fitted[:5] == 100).all()
    assert (fitted[15:] == 200).all()


def test_stretch_is_what_pillow_does() -> None:
    pixels = draw(2, 30, 17, 3)
    expected = Image.fromarray(pixels).resize((8, 12), Image.Resampling.BILINEAR)
    assert np.array_equal(resized(pixels, 12, 8, "stretch"), np.asarray(expected))


def test_crop_cuts_equal_parts_off_both_sides() -> None:
    pixels = np.zeros((10, 30, 1), np.uint8)
    pixels[:, 10:20] = 255
    cropped = resized(pixels, 10, 10, "crop")
    assert (cropped == 255).all()


def test_shrinking_averages_instead_of_dropping_pixels() -> None:
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 200
    shrunk = resized(stripes, 16, 16, "fit")
    assert np.abs(shrunk[:, 2:-2].astype(int) - 100).max() < 10

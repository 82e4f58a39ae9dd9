"""One image file → the pixels a network is given.

The same functions fill the cache of a data set and serve a single file later, so a network sees the
same pixels in both. Files are hostile: only five formats are tried, sizes are checked before pixels
are made, and whatever Pillow raises becomes one sentence that names the file.

Departures from what Pillow does by itself: 16-bit colour keeps all its bits (Pillow keeps the upper
eight), alpha is dropped rather than blended, and the EXIF orientation is applied.
"""

import sys
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from evoconv.data.image_set import Pixels, Preprocessing
from evoconv.data.resizing import resized
from evoconv.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_FILE_BYTES = 256 * 2**20
MAX_PIXELS = 89_478_485  # Pillow's own warning level: 256 MiB of RGB

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_GREY_16 = ("I;16", "I;16B", "I;16L")
_TIFF_BITS_PER_SAMPLE = 258
_EXIF_ORIENTATION = 0x0112
# The byte of each sample that Pillow drops is the one a reader of the other byte order would keep.
_OTHER_NATIVE = "B" if sys.byteorder == "little" else "L"
_OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": f"16{_OTHER_NATIVE}"}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded image file before it is brought to the form of a set.

    ``pixels`` has shape (H, W, 1) or (H, W, 3), uint8, or uint16 where the file holds more than 8
    bits.
    """

    pixels: Pixels
    had_alpha: bool = False
    had_more_pages: bool = False

    @property
    def is_coloured(self) -> bool:
        """Whether the channels differ anywhere."""
        first = self.pixels[..., :1]
        return bool((self.pixels != first).any())


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an image file says before it is decoded; the size is upright."""

    height: int
    width: int
    may_be_coloured: bool
    may_be_deep: bool


def decode_file(source: Path | str | bytes, preprocessing: Preprocessing) -> Pixels:
    """Return an image file as a network is given it, uint8 or uint16 (H, W, C).

    The pixels are exactly those a data set's cache holds for the same file. A colour image becomes
    grey (ITU-R 601) where the set is grey, a grey one three equal channels where the set is
    coloured.

    Raises:
        DataError: the file is missing, too large, no image, damaged, or has more bits than the set.
    """
    if isinstance(source, bytes):
        name, data = "the image", source
    else:
        name, data = str(source), read_limited(Path(source))
    with warnings.catch_warnings():
        # What Pillow only warns of, such as odd metadata, isn't wrong with the pixels.
        warnings.simplefilter("ignore")
        picture = read_picture(data, name)
    return bring_to(picture.pixels, preprocessing, name)


def read_limited(path: Path) -> bytes:
    """Return a file's content; ``DataError`` if it can't be read or is above ``MAX_FILE_BYTES``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"{path} is larger than an image may be, {MAX_FILE_BYTES // 2**20} MiB")
    return data


def read_header(data: bytes, name: str) -> Header:
    """Return what an image file's header says; ``DataError`` if it is no image, or too large."""
    with _Opened(data, name) as image:
        width, height = image.size
        # Of a TIFF Pillow gives the upright size already; asking a PNG for its EXIF decodes it.
        if image.format != "TIFF" and "exif" in image.info:
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            if isinstance(orientation, int) and 5 <= orientation <= 8:
                width, height = height, width
        return Header(
            height=height,
            width=width,
            may_be_coloured=image.mode not in ("1", "L", "LA", *_GREY_16),
            may_be_deep=image.mode in _GREY_16 or _deep_mode(image) is not None,
        )


def read_picture(data: bytes, name: str) -> Picture:
    """Return a decoded image file; ``name`` is for messages.

    Raises:
        DataError: no image, damaged, too large, or of a kind that isn't understood.
    """
    with _Opened(data, name) as image:
        return Picture(
            pixels=_pixels_of(image, data),
            had_alpha=image.has_transparency_data,
            # The second picture in a phone's JPEG is a preview, not a page.
            had_more_pages=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
        )


def bring_to(pixels: Pixels, preprocessing: Preprocessing, name: str) -> Pixels:
    """Return pixels (H, W, 1 or 3) in the depth, channels and size of a set.

    Raises:
        DataError: values above 255 for a set of 8 bits.
    """
    pixels = _in_depth(pixels, preprocessing, name)
    if preprocessing.channels == 1 and pixels.shape[2] == 3:
        pixels = _luma(pixels)
    elif preprocessing.channels == 3 and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return resized(pixels, preprocessing.height, preprocessing.width, preprocessing.resize)


def _in_depth(pixels: Pixels, preprocessing: Preprocessing, name: str) -> Pixels:
    if pixels.dtype == preprocessing.dtype:
        return pixels
    if preprocessing.bit_depth == 8:
        largest = int(pixels.max())
        if largest > 255:
            raise DataError(
                f"{name} has pixel values up to {largest}, but 8-bit images are expected"
            )
        return pixels.astype(np.uint8)
    # 8-bit images among deeper ones: white stays white. The divisor is odd, so no value is a tie.
    scaled = (pixels.astype(np.uint32) * (2 * preprocessing.max_value) + 255) // 510
    return scaled.astype(np.uint16)


def _luma(pixels: Pixels) -> Pixels:
    """Return ITU-R 601 luma, shape (H, W, 1), exactly as Pillow's; equal channels are kept."""
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), 2, 0)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    grey: Pixels = luma[:, :, None].astype(pixels.dtype)
    return grey


class _Opened:
    """An image opened by its header; whatever goes wrong inside becomes a ``DataError``."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name

    def __enter__(self) -> Image.Image:
        try:
            self._image = Image.open(BytesIO(self._data), formats=_FORMATS)
            width, height = self._image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{width} x {height} pixels")
        except Exception as error:  # noqa: BLE001 - hostile files make Pillow raise anything
            self._refuse(error)
        return self._image

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._image.close()
        if isinstance(error, Exception):
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        match error:
            case DataError():
                raise DataError(f"{self._name} {error}") from error
            case Image.DecompressionBombError() | Image.DecompressionBombWarning():
                reason = f"is larger than an image may be, {MAX_PIXELS:,} pixels"
            case UnidentifiedImageError():
                reason = "is no PNG, JPEG, WebP, BMP or TIFF image that can be read"
            case MemoryError():
                reason = "needs more memory than there is"
            case _:
                reason = f"is damaged or truncated: {error}"
        raise DataError(f"{self._name} {reason}") from error


def _pixels_of(image: Image.Image, data: bytes) -> Pixels:
    if image.mode in ("I", "F"):
        raise DataError("has 32-bit or signed pixels, which aren't understood")
    if image.mode in _GREY_16:
        return np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)[:, :, None]
    raw_mode = _deep_mode(image)
    if raw_mode is not None:
        return _deep_colour(image, raw_mode, data)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("1", "L", "LA"):
        return np.array(image.convert("L"))[:, :, None]
    if image.mode in ("P", "PA", "RGBa", "La"):
        # By way of RGBA: transparency in a palette has no other way out without a warning.
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _deep_mode(image: Image.Image) -> str | None:
    """Return how 16-bit colour is going to be unpacked; None for samples of 8 bits.

    Raises:
        DataError: samples that Pillow would misread.
    """
    # Elsewhere 16 means the bits of a whole pixel.
    if image.format not in ("PNG", "TIFF") or not isinstance(image, ImageFile.ImageFile):
        return None
    first = {tile.args[0] if isinstance(tile.args, tuple) else tile.args for tile in image.tile}
    modes = {str(mode) for mode in first}
    if len(modes) == 1 and ";16" in next(iter(modes)):
        return modes.pop()
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, (1,))
    if max(bits) > 8:
        raise DataError(f"has {max(bits)}-bit samples stored in a way that isn't understood")
    return None


def _deep_colour(image: Image.Image, raw_mode: str, data: bytes) -> npt.NDArray[np.uint16]:
    """Return 16-bit colour, (H, W, 1 or 3), from two readings: upper bytes, then lower ones."""
    if raw_mode == "LA;16B":
        # Grey with alpha: read as if it were RGBA, the four bytes are grey, grey, alpha, alpha.
        four = _read_again(data, "RGBA").astype(np.uint16)
        return four[:, :, :1] * 256 + four[:, :, 1:2]
    kind, _, order = raw_mode.partition(";")
    if kind not in ("RGB", "RGBX", "RGBA") or order not in _OTHER_BYTE:
        raise DataError(f"has 16-bit samples of a kind that isn't understood ({raw_mode})")
    upper = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
    lower = _read_again(data, f"{kind};{_OTHER_BYTE[order]}").astype(np.uint16)
    return (upper * 256 + lower)[:, :, :3]


def _read_again(data: bytes, raw_mode: str) -> npt.NDArray[np.uint8]:
    with Image.open(BytesIO(data), formats=_FORMATS) as image:
        assert isinstance(image, ImageFile.ImageFile)
        image.tile = [
            tile._replace(
                args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
            )
            for tile in image.tile
        ]
        return np.array(ImageOps.exif_transpose(image))

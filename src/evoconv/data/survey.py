"""A first look at all images, to settle the preprocessing of the whole set.

Sizes come from the headers. Only what a header can't tell is decoded here: whether three channels
are equal everywhere, until the first image whose aren't, and how many bits 16-bit files really use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evoconv.data.decode import Picture, read_header, read_picture
from evoconv.data.decode_all import work_on_images
from evoconv.data.image_set import BIT_DEPTHS, Preprocessing
from evoconv.data.raw_set import Item, RawSet
from evoconv.errors import DataError

DEFAULT_LONGER_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The preprocessing found, the rows that can be read so far, and the others' errors."""

    preprocessing: Preprocessing
    rows: tuple[int, ...]
    errors: tuple[DataError, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What one image told; ``largest`` is its largest value if it has more than 8 bits."""

    height: int
    width: int
    is_coloured: bool
    has_three_channels: bool
    largest: int | None


def survey(
    raw: RawSet,
    size: tuple[int, int] | None,
    resize: str,
    *,
    skip_bad_images: bool,
    least: tuple[int, int] | None = None,
) -> Survey:
    """Return the preprocessing of a raw set; ``size`` is (height, width) if a person chose one.

    By default images get the median height and width, scaled down so that the longer side is at
    most ``DEFAULT_LONGER_SIDE``; neither is less than that of ``least``.

    Raises:
        DataError: an image can't be read, unless ``skip_bad_images``; or none can.
    """
    looks: dict[int, _Look] = {}
    errors: list[DataError] = []
    for row, look in _looks(raw):
        if isinstance(look, _Look):
            looks[row] = look
        elif skip_bad_images:
            errors.append(look)
        else:
            raise look
    if not looks:
        raise DataError(f"none of the {len(errors):,} images can be read; the first: {errors[0]}")
    seen = list(looks.values())
    height, width = size or _default_size(seen, least)
    preprocessing = Preprocessing(
        height=height,
        width=width,
        channels=3 if any(look.is_coloured for look in seen) else 1,
        bit_depth=_bit_depth(seen),
        resize=resize,
    )
    return Survey(
        preprocessing=preprocessing,
        rows=tuple(looks),
        errors=tuple(errors),
        notes=tuple(_notes(seen, preprocessing)),
    )


def as_picture(item: Item, name: str) -> Picture:
    """Return an item of a raw set decoded."""
    return read_picture(item, name) if isinstance(item, bytes) else Picture(pixels=item)


def _looks(raw: RawSet) -> Iterator[tuple[int, _Look | DataError]]:
    colour_found = False

    def look(item: Item, name: str) -> _Look:
        if isinstance(item, bytes):
            header = read_header(item, name)
            if not header.may_be_deep and (colour_found or not header.may_be_coloured):
                return _Look(
                    height=header.height,
                    width=header.width,
                    is_coloured=False,
                    has_three_channels=header.may_be_coloured,
                    largest=None,
                )
        picture = as_picture(item, name)
        height, width, num_channels = picture.pixels.shape
        return _Look(
            height=height,
            width=width,
            is_coloured=not colour_found and picture.is_coloured,
            has_three_channels=num_channels == 3,
            largest=int(picture.pixels.max()) if picture.pixels.dtype == np.uint16 else None,
        )

    for row, result in work_on_images(raw, range(len(raw.names)), look):
        # One coloured image settles it: the rounds to come needn't look for more.
        colour_found = colour_found or (isinstance(result, _Look) and result.is_coloured)
        yield row, result


def _default_size(looks: Sequence[_Look], least: tuple[int, int] | None) -> tuple[int, int]:
    height = float(np.median([look.height for look in looks]))
    width = float(np.median([look.width for look in looks]))
    scale = min(1.0, DEFAULT_LONGER_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return size if least is None else (max(size[0], least[0]), max(size[1], least[1]))


def _bit_depth(looks: Sequence[_Look]) -> int:
    """Return the fewest bits that hold all values; 12-bit cameras write 16-bit files."""
    largest = max((look.largest for look in looks if look.largest is not None), default=0)
    return next(bits for bits in BIT_DEPTHS if largest < 2**bits)


def _notes(looks: Sequence[_Look], chosen: Preprocessing) -> Iterator[str]:
    sizes = sorted({(look.height, look.width) for look in looks}, key=lambda one: one[0] * one[1])
    if sizes != [(chosen.height, chosen.width)]:
        smallest, largest = (f"{height}x{width}" for height, width in (sizes[0], sizes[-1]))
        yield (
            f"Images of {smallest if len(sizes) == 1 else f'{smallest} to {largest}'} were brought "
            f"to {chosen.height}x{chosen.width} (height x width, {chosen.resize})."
        )
    if chosen.channels == 1 and any(look.has_three_channels for look in looks):
        yield "Images with three equal channels were read as one channel."
    num_shallow = sum(look.largest is None for look in looks)
    if chosen.bit_depth > 8 and num_shallow:
        bits = chosen.bit_depth
        yield f"{num_shallow:,} images of 8 bits were scaled to the {bits} bits of the others."

"""Bringing pixels to a size, by one of three policies.

- ``fit``: the whole image, its aspect ratio kept, centred; the rest repeats the image's edge.
- ``stretch``: the whole image, its aspect ratio changed.
- ``crop``: the aspect ratio kept and the target filled; what juts out on two sides is cut off.

All use Pillow's antialiased bilinear (triangle) filter. It never overshoots, so nothing is clipped.
"""

import numpy as np
from PIL import Image

from evoconv.data.image_set import Pixels


def resized(pixels: Pixels, height: int, width: int, policy: str) -> Pixels:
    """Return pixels (H, W, C) as (height, width, C) of the same type; untouched if they fit."""
    old_height, old_width = pixels.shape[:2]
    if (old_height, old_width) == (height, width):
        return pixels
    whole = (0.0, 0.0, float(old_width), float(old_height))
    if policy == "stretch":
        return _resampled(pixels, height, width, whole)
    if policy == "crop":
        scale = max(height / old_height, width / old_width)
        # Never beyond the image by a rounding error: Pillow refuses that.
        margin_x = max(0.0, (old_width - width / scale) / 2)
        margin_y = max(0.0, (old_height - height / scale) / 2)
        box = (margin_x, margin_y, old_width - margin_x, old_height - margin_y)
        return _resampled(pixels, height, width, box)
    scale = min(height / old_height, width / old_width)
    inner_height = min(height, max(1, round(old_height * scale)))
    inner_width = min(width, max(1, round(old_width * scale)))
    inner = _resampled(pixels, inner_height, inner_width, whole)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    below, right = height - inner_height - top, width - inner_width - left
    return np.pad(inner, ((top, below), (left, right), (0, 0)), mode="edge")


def _resampled(
    pixels: Pixels, height: int, width: int, box: tuple[float, float, float, float]
) -> Pixels:
    bands = []
    for channel in range(pixels.shape[2]):
        band = pixels[:, :, channel]
        # Pillow filters 8-bit and float bands; rounding a float one gives the 16-bit result.
        image = Image.fromarray(band if band.dtype == np.uint8 else band.astype(np.float32))
        scaled = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
        bands.append(scaled if band.dtype == np.uint8 else np.rint(scaled).astype(np.uint16))
    return np.stack(bands, axis=2)

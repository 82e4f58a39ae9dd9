"""Windows cut to the maps that they slide over, so that every network of a search can be built."""

from collections.abc import Iterable
from dataclasses import replace

from evoconv.genomes.layers import FeatureLayer, Pair, Pooling, Residual
from evoconv.genomes.shapes import output_size


def window_of(layer: FeatureLayer) -> tuple[Pair, Pair, str]:
    """Return the window, stride and padding of a feature layer."""
    if isinstance(layer, Pooling):
        return layer.size, layer.steps, layer.padding
    if isinstance(layer, Residual):
        return layer.kernel, layer.stride, "same"
    return layer.kernel, layer.stride, layer.padding


def fit_features(
    features: Iterable[FeatureLayer], input_shape: tuple[int, int, int]
) -> tuple[FeatureLayer, ...]:
    """Return the layers with windows cut to their input; a pooling of one value is left out.

    Kernels that pad are never too large. A window that is cut to its input may be smaller than the
    options allow: that is the only way to fit it. Its stride is cut as well, which changes nothing
    that is built.
    """
    fitted: list[FeatureLayer] = []
    _, height, width = input_shape
    for layer in features:
        if isinstance(layer, Pooling) and (height, width) == (1, 1):
            continue
        window, stride, padding = window_of(layer)
        if padding == "valid" and (window[0] > height or window[1] > width):
            layer = _cut(layer, height, width)
            window, stride, padding = window_of(layer)
        height = output_size(height, window[0], stride[0], padding)
        width = output_size(width, window[1], stride[1], padding)
        fitted.append(layer)
    return tuple(fitted)


def _cut(layer: FeatureLayer, height: int, width: int) -> FeatureLayer:
    window, stride, _ = window_of(layer)
    window = min(window[0], height), min(window[1], width)
    stride = min(stride[0], height), min(stride[1], width)
    if isinstance(layer, Pooling):
        return replace(layer, size=window, stride=None if layer.stride is None else stride)
    return replace(layer, kernel=window, stride=stride)

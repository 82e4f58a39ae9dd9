"""The shapes of a .evo file's tensors, made from docs/evo-format.md alone, as the decoder is."""

from collections.abc import Iterator
from math import prod
from typing import Any

Shape = tuple[int, ...]

# Dense layers of each block, growth, stem, first kernel.
DENSENETS = {
    "densenet121": ((6, 12, 24, 16), 32, 64, 7),
    "densenet161": ((6, 12, 36, 24), 48, 96, 7),
    "densenet169": ((6, 12, 32, 32), 32, 64, 7),
    "densenet201": ((6, 12, 48, 32), 32, 64, 7),
    "densenet-small": ((6, 6, 6), 12, 24, 3),
}
MOBILE_STAGES = ((16,), (24,) * 2, (32,) * 3, (64,) * 4 + (96,) * 3, (160,) * 3 + (320,))


def shapes_of(description: dict[str, Any]) -> list[Shape]:
    """Return the shape of each tensor, in their order."""
    genome, classes = description["genome"], description["classes"]
    size = description["preprocessing"]
    num_classes = classes if isinstance(classes, int) else len(classes)
    if "features" in genome:
        image = (size["channels"], size["height"], size["width"])
        return list(_topology(genome, image, num_classes))
    if "backbone" in genome:
        return list(_backbone(genome, size["channels"], num_classes))
    return [shape for layer in genome["layers"].values() for shape in _graph_layer(layer)]


def _norm(maps: int) -> list[Shape]:
    return [(maps,)] * 4


def _side(values: int, window: int, stride: int, padding: str) -> int:
    return -(-values // stride) if padding == "same" else (values - window) // stride + 1


def _topology(genome: dict[str, Any], image: Shape, num_classes: int) -> Iterator[Shape]:
    maps, *sides = image
    for layer in genome["features"]:
        before = (maps, *sides)
        window = layer["size"] if layer["layer"] == "pooling" else layer["kernel"]
        stride = layer.get("stride") or (window if layer["layer"] == "pooling" else (1, 1))
        usual = "valid" if layer["layer"] == "pooling" else "same"
        padding = layer.get("padding", usual)
        sides = [_side(*one, padding) for one in zip(sides, window, stride, strict=True)]
        if layer["layer"] == "pooling":
            continue
        made = layer["filters"]
        yield from _unit(layer, (made, maps, *window))
        if layer["layer"] == "residual":
            yield from _unit(layer, (made, made, *window))
            if before != (made, *sides):
                yield from _unit(layer, (made, maps, 1, 1))
        maps = made
    values = maps if genome.get("reduction") == "global-average" else maps * prod(sides)
    for layer in genome.get("classifier", []):
        yield from _unit(layer, (layer["units"], values))
        values = layer["units"]
    yield from ((num_classes, values), (num_classes,))


def _unit(layer: dict[str, Any], weight: Shape) -> Iterator[Shape]:
    yield weight
    if layer.get("bias", True):
        yield weight[:1]
    if layer.get("normalisation") == "batch":
        yield from _norm(weight[0])


def _excitation(maps: int) -> list[Shape]:
    squeezed = max(4, maps // 16)
    return [(squeezed, maps), (squeezed,), (maps, squeezed), (maps,)]


def _backbone(genome: dict[str, Any], channels: int, num_classes: int) -> Iterator[Shape]:
    name, included = genome["backbone"].removeprefix("torchvision:"), genome["included"]
    excited = genome["excited_from"] if genome["excited_from"] is not None else included
    if name in DENSENETS:
        maps = yield from _densenet(name, channels, included, excited)
    else:
        stages = {"mobilenetv2": _mobilenet, "resnet20": _resnet}[name](channels)
        for number, (maps, tensors) in enumerate(stages[:included]):
            yield from tensors
            if number >= excited:
                yield from _excitation(maps)
    yield from ((num_classes, maps), (num_classes,))


def _densenet(name: str, channels: int, included: int, excited: int) -> Any:
    blocks, growth, maps, kernel = DENSENETS[name]
    yield (maps, channels, kernel, kernel)
    yield from _norm(maps)
    layer = 0
    for count in blocks:
        for _ in range(min(count, included - layer)):
            yield from [*_norm(maps), (4 * growth, maps, 1, 1)]
            yield from [*_norm(4 * growth), (growth, 4 * growth, 3, 3)]
            if layer >= excited:
                yield from _excitation(growth)
            maps, layer = maps + growth, layer + 1
        if layer == included:
            break
        yield from [*_norm(maps), (maps // 2, maps, 1, 1)]
        maps //= 2
    yield from _norm(maps)
    return maps


def _mobilenet(channels: int) -> list[tuple[int, list[Shape]]]:
    stages, maps = [], 32
    for number, blocks in enumerate(MOBILE_STAGES):
        found: list[Shape] = [(32, channels, 3, 3), *_norm(32)] if number == 0 else []
        for made in blocks:
            wide = maps if number == 0 else 6 * maps
            if number > 0:
                found += [(wide, maps, 1, 1), *_norm(wide)]
            found += [(wide, 1, 3, 3), *_norm(wide), (made, wide, 1, 1), *_norm(made)]
            maps = made
        stages.append((maps, found))
    maps, found = stages[-1]
    stages[-1] = (1280, [*found, (1280, maps, 1, 1), *_norm(1280)])
    return stages


def _resnet(channels: int) -> list[tuple[int, list[Shape]]]:
    stages, maps = [], 16
    for made in (16, 32, 64):
        found: list[Shape] = [(16, channels, 3, 3), *_norm(16)] if made == 16 else []
        for _ in range(3):
            found += [(made, maps, 3, 3), *_norm(made), (made, made, 3, 3), *_norm(made)]
            maps = made
        stages.append((maps, found))
    return stages


def _graph_layer(layer: dict[str, Any]) -> list[Shape]:
    kind, bias = layer["kind"], layer.get("bias", True)
    if kind == "Conv2d":
        size = layer["kernel_size"]
        made, taken = layer["out_channels"], layer["in_channels"] // layer.get("groups", 1)
        return [(made, taken, *(size if isinstance(size, list) else (size, size)))] + [
            (made,)
        ] * bias
    if kind == "Linear":
        made = layer["out_features"]
        return [(made, layer["in_features"])] + [(made,)] * bias
    if kind in ("BatchNorm1d", "BatchNorm2d"):
        parts = 2 * layer.get("affine", True) + 2 * layer.get("track_running_stats", True)
        return [(layer["num_features"],)] * parts
    if kind == "GroupNorm":
        return [(layer["num_channels"],)] * (2 * layer.get("affine", True))
    if kind == "LayerNorm":
        size = layer["normalized_shape"]
        shape = tuple(size) if isinstance(size, list) else (size,)
        return [shape] * (layer.get("elementwise_affine", True) * (1 + bias))
    return [(layer.get("num_parameters", 1),)] if kind == "PReLU" else []

"""Which random changes training images undergo; ``batches.py`` makes them.

The default needs no knowledge of the classes: a shifted image shows the same thing. A mirrored or
turned one may not (a 6 becomes a 9), so that is done only when asked for.
"""

from dataclasses import dataclass

from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class Augmentation(Options):
    """Random changes of training images, drawn anew for every image in every epoch."""

    shift: float = option(
        0.04,
        "shift by up to this share of height and width",
        at_least=0,
        at_most=0.5,
        unit="percent",
    )
    flip: str = option(
        "none", "mirror at random", choices=("none", "horizontal", "vertical", "both")
    )
    rotate: float = option(0.0, "rotate by up to this many degrees", at_least=0, at_most=180)
    erase: float = option(
        0.0,
        "blank a rectangle of up to this share of height and width",
        at_least=0,
        at_most=0.9,
        unit="percent",
    )

"""What the evaluation of a candidate may save, and how often it is repeated."""

from dataclasses import dataclass

from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class SavingOptions(Options):
    """Weight inheritance, and repeated training of candidates worth a closer look."""

    inherit: bool = option(
        False, "a child starts from its parents' weights, exactly where that can be"
    )
    curve_images: int = option(
        2_000,
        "validation images that rules of stopping look at after each epoch",
        at_least=10,
        unit="count",
    )
    max_trainings: int = option(
        1, "most trainings of a candidate, whose mean decides", at_least=1, at_most=100
    )

"""What happens when the search is over."""

from dataclasses import dataclass

from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class FinalOptions(Options):
    """What happens to the best individual when the search is over."""

    final: str = option(
        "retrained",
        "weights of the result: trained anew on all training images, or those of the search,"
        " trained further on all training images or as they are",
        choices=("retrained", "continued", "evolved"),
    )
    final_recipe: str | None = option(
        None, "recipe that the final training is by; unset: that of the search"
    )
    try_augmentations: bool = option(
        False,
        "before the final trainings compare small rotations and mirroring on validation images,"
        " and use what helps",
    )
    finalists: int = option(
        0,
        "candidates trained in full, and validated, before the best is chosen; 0: it is chosen by"
        " the search's evaluations",
        at_least=0,
        at_most=1000,
    )
    repeats: int = option(1, "final trainings; the result is their mean", at_least=1, at_most=1000)
    baseline: bool = option(
        True,
        "train for comparison what people use without a search: a small hand-made network, in a"
        " transfer the whole backbone",
    )
    final_share: float = option(
        0.4, "share of --time kept for the end", at_least=0.05, at_most=0.9, unit="percent"
    )
    compress: bool = option(
        False,
        "in the end share the weights of the network, down to a small file: evoconv compress with"
        " the last third of --time",
    )

"""What part of a backbone a search may choose, and how that may learn."""

from dataclasses import dataclass

from evoconv.errors import ConfigError
from evoconv.options import Options, option

NO_ROOM = "there was no room for"
"""How the remark on a training begins that could not share what its frozen layers give."""


@dataclass(frozen=True, kw_only=True)
class TransferOptions(Options):
    """The plans of transfer learning; ranges have both ends in them.

    Source of the ranges' defaults: Safiuddin 2021, section 4.2.
    """

    weights: str | None = option(
        None,
        "pretrained weights: a folder that evoconv pretrain made; a .safetensors, .pth or .pt"
        " file; or those that a package gives its networks, such as timm:resnet18",
    )
    backbone: str | None = option(
        None,
        "the network that they are of, such as densenet121, mobilenetv2 or resnet20; unset: what"
        " the file says, or its tensors",
    )
    included_range: tuple[int, ...] = option(
        (), "layers a network may have; unset: 1 to all", at_least=1
    )
    frozen_range: tuple[int, ...] = option(
        (),
        "layers that may never learn; unset: 0 to all, or to 18 of torchvision's DenseNets",
        at_least=0,
    )
    rate_range: tuple[float, ...] = option((1e-6, 0.1), "learning rate", at_least=1e-9, at_most=100)
    dropout_range: tuple[float, ...] = option(
        (0.1, 0.9), "dropout before the classifier", at_least=0, at_most=0.99
    )
    squeeze_excitation: bool = option(True, "layers that learn get squeeze-and-excitation")
    feature_cache: int = option(
        2_000_000_000,
        "disk for what frozen layers give, which the trainings of a study share",
        at_least=0,
        unit="bytes",
    )
    plan: str | None = option(
        None, "run folder of a finished transfer whose plan and weights are used, without a search"
    )
    usual_plans: bool = option(
        True,
        "begin with what people do without a search: all layers learn, at a rate that is 0.001 in"
        " the final training, and the classifier alone learns, or as few layers as may",
    )
    rate_in_full: float = option(
        1.0,
        "share of a plan's learning rate that its final training has, which is longer",
        at_least=0.01,
        at_most=1,
        unit="percent",
    )
    first_plan: str | None = option(
        None, "a plan that the search begins with: [layers, frozen, learning rate, dropout]"
    )

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` naming the option, the limit and the value."""
        super().__post_init__()
        for name in ("included_range", "frozen_range", "rate_range", "dropout_range"):
            ends = getattr(self, name)
            if not isinstance(ends, tuple):
                raise ConfigError(f"{name} must be two numbers, got {ends!r:.50}")
            if name in ("rate_range", "dropout_range") and not ends:
                raise ConfigError(f"{name} must be two numbers, got none")
            if ends and (len(ends) != 2 or ends[0] > ends[1]):
                shown = ",".join(f"{one:g}" for one in ends)
                raise ConfigError(f"{name} must be two numbers, the lower one first, got {shown}")

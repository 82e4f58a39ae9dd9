"""WHAT is searched by ``transfer``: how a pretrained backbone is reused for other images.

Source: Safiuddin 2021, "Genetic Algorithm for Transfer Learning in a Deep CNN".
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from evoconv.errors import ConfigError
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.constraints import Limits
from evoconv.genomes.plan_space import PlanSpace, TransferPlan, plan_of
from evoconv.genomes.shapes import Cost
from evoconv.genomes.vector import Cell, Value, Vector
from evoconv.networks.backbone import Backbone, find_backbone
from evoconv.networks.build import build_network
from evoconv.networks.measured_cost import measured_cost
from evoconv.problems.subject import Subject
from evoconv.problems.transfer_options import TransferOptions
from evoconv.records import Genome

# What people do without a search: all layers, or those that may not be frozen, learn at this rate,
# or the classifier alone at that.
_USUAL_RATE, _PROBE_RATE = 1e-3, 1e-2


@dataclass(frozen=True, kw_only=True)
class TransferProblem:
    """Plans for a backbone and some images; has the methods of ``problems.problem.Problem``.

    Attributes:
        backbone: its name.
        pretrained: its weights, as ``networks.pretrained.fitting`` gives them; None to begin with
            new ones.
        input_shape: of the images, (C, H, W).

    Raises:
        ConfigError: an unknown backbone, a range that it hasn't, or images too small for it.
    """

    backbone: str
    pretrained: Path | None
    options: TransferOptions
    input_shape: tuple[int, int, int]
    num_classes: int
    limits: Limits
    seeds: tuple[Vector, ...] = ()

    def __post_init__(self) -> None:
        find_backbone(self.backbone)
        if not self._fits(1):
            _, height, width = self.input_shape
            raise ConfigError(f"{self.backbone} can't look at {height}×{width} images")

    @cached_property
    def space(self) -> PlanSpace:
        """Included and frozen layers, learning rate and dropout."""
        backbone, options = self._backbone, self.options
        most = self._most_included
        if most < backbone.num_layers and not options.included_range:
            _, height, width = self.input_shape
            raise ConfigError(
                f"{height}×{width} images are too small for all {backbone.num_layers} layers of"
                f" {self.backbone}: give a larger --image-size"
                + ("" if self.pretrained is None else f", or --included-range 1,{most}")
            )
        included = options.included_range or (1, most)
        frozen = options.frozen_range or (0, min(backbone.most_frozen, most))
        if self.pretrained is None:  # the whole backbone is trained, for a later transfer
            included, frozen = (backbone.num_layers, backbone.num_layers), (0, 0)
        for name, ends in (("included", included), ("frozen", frozen)):
            if ends[1] > most:
                raise ConfigError(
                    f"--{name}-range ends at {ends[1]}: {self.backbone} has {most} layers for"
                    " these images"
                )
        if frozen[0] > included[0]:
            raise ConfigError(
                f"--frozen-range begins at {frozen[0]}, but a network may have {included[0]} layers"
            )
        space = PlanSpace(
            cells=(
                Cell(name="included", low=included[0], high=included[1]),
                Cell(name="frozen", low=frozen[0], high=frozen[1]),
                _cell("learning rate", options.rate_range, "logarithmic"),
                _cell("dropout", options.dropout_range, "linear"),
            ),
            cost_of=self._cost_of,
            limits=self.limits,
        )
        if self.pretrained is None or not options.usual_plans:
            return replace(space, seeds=self.seeds)
        return replace(space, seeds=(*self.seeds, *_usual_plans(space, options.rate_in_full)))

    def within(self, limits: Limits) -> "TransferProblem":
        """Return the same under other limits."""
        return replace(self, limits=limits)

    def cost(self, genome: Genome) -> Cost:
        """Return what the plan's network costs."""
        return self.space.cost(_vector(genome))

    def least_macs(self) -> int:
        """Return the multiply-accumulates of a smallest network."""
        return self.cost(self.space.smallest()).macs

    def subject(self, genome: Genome) -> Subject:
        """Return the network of a plan, to be trained from the backbone's weights."""
        plan = plan_of(_vector(genome))
        return Subject(
            architecture=self._cut(plan),
            pretrained=self.pretrained,
            held=self._backbone.leading(plan.frozen),
            # A backbone trained for later transfers is trained by the recipe.
            learning_rate=None if self.pretrained is None else plan.learning_rate,
            rate_in_full=self.options.rate_in_full,
        )

    def baseline(self) -> Subject:
        """Return the usual default: all layers, of which all learn, and a new classifier."""
        cut = BackboneCut(backbone=self.backbone, included=self._most_included)
        return Subject(architecture=cut, pretrained=self.pretrained, learning_rate=_USUAL_RATE)

    def baseline_cost(self) -> Cost:
        """Return what that network costs."""
        return self._measured(self._most_included, None)

    def _cut(self, plan: TransferPlan) -> BackboneCut:
        excited = self.options.squeeze_excitation and plan.frozen < plan.included
        return BackboneCut(
            backbone=self.backbone,
            included=plan.included,
            excited_from=plan.frozen if excited else None,
            dropout=plan.dropout,
        )

    def _cost_of(self, plan: TransferPlan) -> Cost:
        return self._measured(plan.included, self._cut(plan).excited_from)

    def _measured(self, included: int, excited_from: int | None) -> Cost:
        known, key = self._known_costs, (included, excited_from)
        if key not in known:
            cut = BackboneCut(backbone=self.backbone, included=included, excited_from=excited_from)
            with torch.device("meta"):
                network = build_network(cut, self.input_shape, self.num_classes)
            known[key] = measured_cost(network, self.input_shape, self.limits.bits)
        return known[key]

    @cached_property
    def _known_costs(self) -> dict[tuple[int, int | None], Cost]:
        return {}

    @property
    def _backbone(self) -> Backbone:
        return find_backbone(self.backbone)

    @cached_property
    def _most_included(self) -> int:
        """After how many layers at most the images still have pixels."""
        most = self._backbone.num_layers
        if self._fits(most):
            return most
        fits, fails = 1, most
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if self._fits(middle) else (fits, middle)
        return fits

    def _fits(self, included: int) -> bool:
        try:
            self._measured(included, None)
        except RuntimeError:  # torch's word for a map without pixels
            return False
        return True


def _usual_plans(space: PlanSpace, rate_in_full: float) -> tuple[Vector, ...]:
    """Return what people do without a search, as far as ranges and limits allow it.

    Of a plan's rate a full training has a share, which is then the usual rate.
    """
    included, frozen, _, dropout = space.cells
    # That rate is for a new classifier: layers that learn would lose what they know.
    rate_of_most_held = _PROBE_RATE if frozen.high >= included.high else _USUAL_RATE
    plans = [
        space.tidied(Vector((int(included.high), int(held), rate / rate_in_full, dropout.low)))
        for held, rate in ((frozen.low, _USUAL_RATE), (frozen.high, rate_of_most_held))
    ]
    return tuple(plan for plan in dict.fromkeys(plans) if space.is_feasible(plan))


def _cell(name: str, ends: tuple[Value, ...], kind: str) -> Cell:
    return Cell(name=name, low=ends[0], high=ends[1], kind=kind)


def _vector(genome: Genome) -> Vector:
    assert isinstance(genome, Vector), "this space has no others"
    return genome

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches, ImageTensor, Standardisation
from evoconv.errors import ConfigError
from evoconv.execution.executor import Cancelled
from evoconv.genomes.layers import Convolution, Dense, Pooling, Residual
from evoconv.genomes.shapes import layer_table
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import build
from evoconv.networks.initialise import initialise
from evoconv.training.features import named_layers
from evoconv.training.freeze_savings import LayerWork, is_worth_caching
from evoconv.training.freezing import Course, Frozen, leading_frozen, split, train_thawing
from evoconv.training.loop import EpochReport, Training, predict_logits, train
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision
from evoconv.training.stopping import Stop

SHAPE = (1, 12, 12)
TOPOLOGY = Topology(
    features=(
        Convolution(filters=4, kernel=(3, 3), normalisation="batch", dropout=0.2),
        Pooling(size=(2, 2)),
        Residual(filters=6, kernel=(3, 3), normalisation="batch"),
        Convolution(filters=5, kernel=(2, 3), normalisation="batch"),
    ),
    classifier=(Dense(units=8, normalisation="batch", dropout=0.2), Dense(units=7)),
)
HEAD = ("features.0", "features.2")
RECIPE = Recipe(batch_size=16, learning_rate=0.01, freeze_share=1.0, schedule="constant")


class Patient:
    """A control that lets everything run, or cancels at once."""

    def __init__(self, cancels: bool = False) -> None:
        self._cancels = cancels

    def checkpoint(self) -> None:
        if self._cancels:
            raise Cancelled

    def report(self, progress: float, message: str = "") -> None:
        pass


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batches(num_images: int = 71, *, shift: float = 0.0, device: str = "cpu") -> Batches:
    rng = np.random.default_rng(3)
    labels = rng.integers(3, size=num_images)
    images = rng.integers(0, 120, size=(num_images, 12, 12, 1), dtype=np.uint8)
    images[labels == 0, ::2] += 100
    images[labels == 1, :, ::2] += 100
    source = ImageTensor(
        images, labels, Standardisation.of(images, np.arange(num_images)), torch.device(device)
    )
    return Batches(
        source=source,
        # Not all, and not in order: a row is not its position.
        rows=torch.from_numpy(rng.permutation(num_images)[: num_images - 7]),
        batch_size=16,
        augmentation=Augmentation(shift=shift),
        generator=torch.Generator().manual_seed(1),
    )


def network(topology: Topology = TOPOLOGY) -> nn.Sequential:
    torch.manual_seed(0)
    net = build(topology, SHAPE, 3)
    initialise(net, "he-normal", torch.Generator().manual_seed(1))
    return net


def state_of(net: nn.Module, name: str) -> dict[str, Tensor]:
    return {key: one.clone() for key, one in net.get_submodule(name).state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one | other)


def course(
    recipe: Recipe = RECIPE,
    *,
    frozen: tuple[str, ...] = HEAD,
    epochs: int = 3,
    data: Batches | None = None,
    net: nn.Module | None = None,
    precision: Precision | None = None,
) -> Course:
    return train_thawing(
        net or network(),
        data or batches(),
        recipe,
        precision or Precision(),
        Patient(),
        frozen=frozen,
        epochs=epochs,
    )


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "adagrad"])
@pytest.mark.parametrize("shift", [0.0, 0.1], ids=["cached", "augmented"])
def test_frozen_layers_are_bit_identical_after_training(optimizer: str, shift: float) -> None:
    net = network()
    frozen = (*HEAD, "classifier.0")
    before = {name: state_of(net, name) for name, _ in named_layers(net)}
    recipe = replace(RECIPE, optimizer=optimizer, weight_decay=0.1)
    course(recipe, frozen=frozen, net=net, data=batches(shift=shift))
    for name in frozen:
        assert same(state_of(net, name), before[name])
    for name in ("features.3", "classifier.1", "output"):
        assert not same(state_of(net, name), before[name])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_frozen_layers_are_bit_identical_after_training_on_a_gpu() -> None:
    precision = Precision(channels_last=True, bfloat16=True)
    net = network()
    before = state_of(net, "features.0")
    got = course(net=net, data=batches(device="cuda"), precision=precision)
    assert got.cached_layers == 3
    assert same(state_of(net.cpu(), "features.0"), before)


def test_frozen_layers_behave_as_in_use_even_after_train() -> None:
    net = network()
    images = torch.randn((8, *SHAPE), generator=torch.Generator().manual_seed(2))
    layer = net.get_submodule("features.0")
    expected = layer.eval()(images)
    frozen = Frozen(net, ["features.0"])
    net.train()
    assert torch.equal(layer(images), expected)
    assert not any(one.requires_grad for one in layer.parameters())
    frozen.unfreeze()
    frozen.unfreeze()
    net.train()
    assert not torch.equal(layer(images), expected)
    assert all(one.requires_grad for one in net.parameters())


def test_what_was_still_before_stays_still_after() -> None:
    net = network()
    weight = net.get_submodule("features.0").get_parameter("convolution.weight")
    weight.requires_grad_(False)
    with Frozen(net, HEAD):
        pass
    assert not weight.requires_grad
    assert sum(not one.requires_grad for one in net.parameters()) == 1


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^no layer is called features.9; there are features.0,"):
        Frozen(network(), ["features.9"])


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ((), 0),
        (("features.2",), 0),
        (("features.0",), 2),  # the pooling after it learns nothing
        (("features.0", "features.3"), 2),
        (HEAD, 3),
        ((*HEAD, "features.3"), 5),  # and so does the reduction
        ((*HEAD, "features.3", "classifier.0"), 6),
    ],
)
def test_leading_layers_are_counted(names: tuple[str, ...], count: int) -> None:
    assert leading_frozen(network(), names) == count


def test_a_pooling_with_dropout_ends_the_count() -> None:
    pooling = Pooling(size=(2, 2), dropout=0.1)
    net = network(replace(TOPOLOGY, features=(TOPOLOGY.features[0], pooling)))
    assert leading_frozen(net, ["features.0"]) == 1
    assert leading_frozen(net, ["features.0", "features.1"]) == 3


@pytest.mark.parametrize(
    "precision", [Precision(), Precision(channels_last=True)], ids=["plain", "channels last"]
)
@pytest.mark.parametrize(
    "frozen", [HEAD, (*HEAD, "features.3", "classifier.0")], ids=["maps", "units"]
)
def test_losses_are_the_same_with_and_without_the_cache(
    precision: Precision, frozen: tuple[str, ...]
) -> None:
    recipe = replace(RECIPE, freeze_share=0.5)
    with_cache = course(recipe, frozen=frozen, epochs=6, precision=precision)
    without = course(replace(recipe, freeze_cache=0), frozen=frozen, epochs=6, precision=precision)
    assert (with_cache.cached_layers, without.cached_layers) == (
        leading_frozen(network(), frozen),
        0,
    )
    assert [one.train_loss for one in with_cache.reports] == pytest.approx(
        [one.train_loss for one in without.reports], abs=1e-4
    )
    assert with_cache.saved_share > without.saved_share > 0


def test_cached_outputs_come_in_the_order_of_the_images() -> None:
    net = network().eval()
    data, same_data = batches(), batches()
    tail, outputs = split(net, 3, data, Precision(), Patient())
    assert outputs.num_batches == data.num_batches
    for (values, labels), (images, expected) in zip(
        outputs.epoch(), same_data.epoch(), strict=True
    ):
        assert torch.equal(labels, expected)
        assert torch.allclose(tail(values), net(images), atol=1e-5)


def test_bfloat16_is_kept_as_it_is() -> None:
    precision = Precision(channels_last=True, bfloat16=True)
    got = course(precision=precision)
    assert got.cached_layers == 3
    without = course(replace(RECIPE, freeze_cache=0), precision=precision)
    assert got.reports[-1].train_loss == pytest.approx(without.reports[-1].train_loss, abs=0.05)


def test_layers_are_frozen_for_the_share_of_the_epochs_then_all_learn() -> None:
    net = network()
    before = state_of(net, "features.0")
    got = course(replace(RECIPE, freeze_share=0.4), epochs=5, net=net)
    assert [one.frozen for one in got.reports] == [True, True, False, False, False]
    assert [one.epoch for one in got.reports] == [1, 2, 3, 4, 5]
    assert got.frozen_epochs == 2
    assert not same(state_of(net, "features.0"), before)
    assert all(one.requires_grad for one in net.parameters())


def test_nothing_frozen_is_the_usual_training() -> None:
    for recipe, frozen in (
        (RECIPE, ()),
        (replace(RECIPE, freeze_share=0.0), HEAD),
        (RECIPE, tuple(name for name, _ in named_layers(network()))),
    ):
        net = network()
        got = course(recipe, frozen=frozen, net=net)
        usual = network()  # made here: dropout draws from the stream that this starts
        train(usual, batches(), recipe, Precision(), Patient(), epochs=3)
        assert same(net.state_dict(), usual.state_dict())
        assert (got.saved_share, got.cached_layers, got.frozen_epochs) == (0.0, 0, 0)


def test_moments_outlive_the_thaw() -> None:
    net = network()
    recipe = replace(RECIPE, optimizer="adagrad")
    data = batches()
    training = Training(net, data, recipe, Precision(), Patient(), epochs=2)
    output = net.get_submodule("output").get_parameter("weight")
    with Frozen(net, HEAD):
        training.run(net, data, until=1, frozen=True)
    kept = training._optimizer.state[output]["sum"].clone()
    first = net.get_submodule("features.0").get_parameter("convolution.weight")
    assert float(training._optimizer.state[first]["sum"].sum()) == 0.0
    training.run(net, data, until=2)
    assert bool((training._optimizer.state[output]["sum"] >= kept).all())
    assert float(kept.sum()) > 0
    assert float(training._optimizer.state[first]["sum"].sum()) > 0


@pytest.mark.parametrize(
    ("rule", "share", "epochs"),
    [("patience", 0.5, 6), ("extrapolation", 0.5, 6), ("divergence", 0.5, 2), ("patience", 1, 2)],
)
def test_a_stop_by_the_curve_only_ends_the_frozen_part(
    rule: str, share: float, epochs: int
) -> None:
    def after_epoch(report: EpochReport) -> Stop | None:
        return Stop(rule=rule, sentence="enough", epoch=2) if report.epoch == 2 else None

    got = train_thawing(
        network(),
        batches(),
        replace(RECIPE, freeze_share=share),
        Precision(),
        Patient(),
        frozen=HEAD,
        epochs=6,
        after_epoch=after_epoch,
    )
    assert len(got.reports) == epochs
    assert got.frozen_epochs == 2
    assert got.reports[1].stop == Stop(rule=rule, sentence="enough", epoch=2)


def test_validating_after_an_epoch_changes_nothing() -> None:
    recipe, data = replace(RECIPE, freeze_share=0.5), batches()
    net = network()

    def after_epoch(report: EpochReport) -> None:
        predict_logits(net, data.source, data.rows, Precision())

    train_thawing(
        net, data, recipe, Precision(), Patient(), frozen=HEAD, epochs=4, after_epoch=after_epoch
    )
    unwatched = network()
    course(recipe, epochs=4, net=unwatched)
    assert same(net.state_dict(), unwatched.state_dict())


def test_computing_the_cache_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        split(network(), 3, batches(), Precision(), Patient(cancels=True))


@pytest.mark.parametrize(
    ("macs", "num_values", "epochs", "limit", "shift", "worth"),
    [
        (10_000, 100, 5, 10**6, 0.0, True),
        (10_000, 100, 5, 10**6, 0.1, False),  # the images differ in every epoch
        (10_000, 100, 5, 64 * 400, 0.0, True),
        (10_000, 100, 5, 64 * 400 - 1, 0.0, False),  # too large
        (10_000, 100, 1, 10**6, 0.0, False),  # nothing to be used again
        (100, 100, 5, 10**6, 0.0, False),  # as quick to compute
    ],
)
def test_outputs_are_cached_where_they_are_constant_fit_and_save_time(
    macs: int, num_values: int, epochs: int, limit: int, shift: float, worth: bool
) -> None:
    head = [LayerWork(name="features.0", macs=macs, num_values=num_values)]
    assert is_worth_caching(head, batches(shift=shift), epochs, limit) is worth
    assert not is_worth_caching([], batches(), epochs, limit)


def test_the_share_saved_is_that_of_the_layer_table() -> None:
    macs = {row.name: row.macs for row in layer_table(TOPOLOGY, SHAPE, 3)}
    total = 3 * sum(macs.values()) * 4
    head = macs["features.0"] + macs["features.2"]
    recipe = replace(RECIPE, freeze_share=0.5)  # 2 of 4 epochs
    frozen = (*HEAD, "classifier.1")
    cached = course(recipe, frozen=frozen, epochs=4)
    plain = course(replace(recipe, freeze_cache=0), frozen=frozen, epochs=4)
    inside = 2 * macs["classifier.1"]
    assert cached.saved_share == pytest.approx((head * (3 * 2 - 1) + inside) / total)
    assert plain.saved_share == pytest.approx((head * 2 * 2 + inside) / total)

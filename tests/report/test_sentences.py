import pytest

from evoconv.genomes.layers import LAYER_KINDS, Convolution, Dense, Pooling, Residual
from evoconv.genomes.topology import Topology
from evoconv.records import Failure, FailureKind, Individual, Measurement
from evoconv.report.sentences import (
    counts_text,
    measure_text,
    network_text,
    printable,
    reason_text,
    trial_text,
)

NETWORK = Topology(
    features=(
        Convolution(filters=22, kernel=(5, 3), stride=(2, 1), padding="valid", activation="tanh"),
        Pooling(size=(2, 2), padding="same"),
        Residual(filters=30, kernel=(3, 3), normalisation="batch"),
    ),
    classifier=(Dense(units=120, dropout=0.2),),
)


def test_a_network_is_one_line_of_kinds_and_sizes() -> None:
    assert network_text(NETWORK) == (
        "convolution 22 5×3/2×1 → max pooling 2×2 → residual 30 3×3 → dense 120"
    )


def test_every_kind_of_layer_is_in_the_line() -> None:
    kinds = {type(layer) for layer in (*NETWORK.features, *NETWORK.classifier)}
    assert kinds == set(LAYER_KINDS.values()), "a new kind of layer belongs into these tests"


def test_a_trial_is_told_with_the_measure_that_is_searched_for() -> None:
    values = {"validation_accuracy": 0.98765, "validation_cross_entropy": 0.0421, "macs": 1.2e6}
    individual = Individual(number=17, genome=NETWORK, measurement=Measurement(values=values))
    assert trial_text(individual, "accuracy") == "trial 17: accuracy 98.77 %, 1.2M MACs"
    assert trial_text(individual, "cross-entropy") == (
        "trial 17: cross-entropy 0.0421, accuracy 98.77 %, 1.2M MACs"
    )


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_not_known_is_a_dash(value: float | None) -> None:
    assert measure_text("accuracy", value) == "–"


def test_a_reason_is_one_short_line_that_cannot_steer_a_terminal() -> None:
    failure = Failure(kind=FailureKind.ERROR, message="\x1b[2Jbad " + "x" * 500 + "\nTraceback")
    text = reason_text(failure)
    assert text.startswith("error: \N{REPLACEMENT CHARACTER}[2Jbad xxx")
    assert len(text) == 160
    assert text.isprintable()


def test_names_in_any_script_stay_as_they_are() -> None:
    assert printable("Größe 大小") == "Größe 大小"


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((1, 0, 0), "1 evaluation"),
        ((1200, 3, 1), "1,200 evaluations (3 failed, 1 copy)"),
        ((2, 0, 5), "2 evaluations (5 copies)"),
    ],
)
def test_counts_are_told_in_words(counts: tuple[int, int, int], text: str) -> None:
    assert counts_text(*counts) == text

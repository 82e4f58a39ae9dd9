"""Recipes: sets of defaults across all option groups. What a person names wins over them."""

from collections.abc import Mapping
from typing import Any

# What compressions have in common: short evaluations, whose weights are kept.
_SHARED = {
    "crossover": 0.9,
    "mutation": 0.5,
    "final": "evolved",
    "final_share": 0.05,
}

_LIKE_RELU = ("relu", "leaky-relu", "elu", "silu", "hard-swish")

# What networks are born as: the usual designs, and random ones of which half are as accurate as the
# best tenth within the published ranges, the defaults; docs/method-async.md has the figures.
_USUAL: Mapping[str, Any] = {
    "normalisation": "batch",
    "usual_designs": True,
    "reduction": "by-size",
    "finalists": 4,
    "activations": _LIKE_RELU,
    "min_kernel": 3,
    "sizes": "log",
    "min_filters": 8,
    "max_filters": 64,
    "min_features_at_birth": 2,
    "max_features_at_birth": 6,
    "min_classifier": 0,
    "max_classifier_at_birth": 1,
    "dropouts": (0.0, 0.2),
}

# Safiuddin: Adam, Kaiming initialisation, the loss as fitness, tournaments of two. The rest is the
# house's.
_TRANSFER: Mapping[str, Any] = {
    "optimizer": "adam",
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "batch_size": 32,
    "train_images": None,
    "metric": "cross-entropy",
    "population": 12,
    "tournament": 2,
    "crossover": 0.9,
    "mutation": 0.5,
    # Of annealing: a search has a few dozen evaluations, by whose end it should be cold.
    "cooling_half_life": 10.0,
    # The final training is ten to twenty times as long as one of the search, and the best constant
    # step of stochastic gradient descent falls with the root of the length: Nemirovski et al. 2009,
    # "Robust Stochastic Approximation Approach to Stochastic Programming", section 2.2.
    "rate_in_full": 0.25,
    # Of the slowest plan, so of most others twice as many or more.
    "affordable_evaluations": 16,
    "folds": None,
}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    # As good a network as a short time allows: the training has the defaults of ``Recipe``.
    "fast": _USUAL,
    # As good a network as a long time allows: small ones go on learning, with or without a limit.
    "long": {**_USUAL, "final_length": 3.0},
    # Vidnerová & Neruda 2018, and the defaults of Keras 2 where the paper names none.
    "paper": {
        "normalisation": "none",
        "folds": 5,
        "metric": "cross-entropy",
        "optimizer": "rmsprop",
        "learning_rate": 0.001,
        "momentum": 0.0,
        "rho": 0.9,
        "epsilon": 1e-7,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warm_up": 0.0,
        "batch_size": 128,
        "label_smoothing": 0.0,
        "initialisation": "glorot-uniform",
        "epochs": 10,
        "train_images": None,
        "final_epochs": 20,
        "shift": 0.0,
    },
    # Mitschke et al.: the topologies, the fitness and its limit, the population, weights kept and
    # trained on. The rest, and how long an evaluation is, are the house's.
    "gradient": {
        "normalisation": "batch",
        "usual_designs": True,
        "reduction": "global-average",
        "convolution_share": 1.0,
        "min_kernel": 3,
        "max_kernel": 3,
        "max_stride": 2,
        "min_filters": 4,
        "max_filters": 128,
        "sizes": "log",
        "min_features_at_birth": 2,
        "max_features_at_birth": 6,
        "max_features": 10,
        "min_classifier": 0,
        "max_classifier_at_birth": 1,
        "max_classifier": 4,
        "min_units": 8,
        "max_units": 128,
        "activations": ("relu",),
        "dropouts": (0.0,),
        "fitness": "gradient",
        "max_memory": 28_000_000,
        "population": 24,
        "inherit": True,
        "train_on": True,
        # Short evaluations: those who live go on learning. Nothing is trained at the end. So each
        # training ends as good as it can be, and the next one goes on from there.
        "schedule": "constant",
        "weight_average": 0.995,
        "batch_size": 32,
        "learning_rate": 0.005,
        "image_passes": 7_500,
        "train_images": 7_500,
        "fresh_images": True,
        "affordable_evaluations": 200,
        "final": "evolved",
        "final_share": 0.12,
    },
    # Without augmentation, what frozen layers give is computed once, for the whole search.
    "transfer": {**_TRANSFER, "shift": 0.0, "final_recipe": "transfer-shifted"},
    # How its final training goes.
    "transfer-shifted": {**_TRANSFER, "shift": 0.1},
    # A whole backbone on many images, for a later transfer: one short evaluation, then the rest of
    # the time.
    "pretrain": {
        "backbone": "densenet-small",
        "squeeze_excitation": False,
        "rate_range": (0.01, 0.01),
        "dropout_range": (0.0, 0.0),
        "evaluations": 1,
        "image_passes": 2_000,
        "train_images": 2_000,
        "affordable_evaluations": None,
        "final_share": 0.9,
        "baseline": False,
    },
    # The weights of a trained network, shared: pruned, shared and trained on in a line of heirs.
    "compress": {
        **_SHARED,
        "fold": True,
        "fine_tune": True,
        "least_kept": 0.002,
        "bias_clusters": 6,
        "reassign": True,
        "distillation": 0.7,
        "most_clusters": 16,
        "codebook_bits": 8,
        "bias_bits": 8,
        "inherit": True,
        "fresh_images": True,
        "optimizer": "adam",
        "learning_rate": 0.004,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "schedule": "cosine",
        "train_images": None,
        "affordable_evaluations": 120,
        "population": 4,
    },
    # The same as published: only numbers of clusters are searched, and nothing is trained.
    "untrained": {**_SHARED, "affordable_evaluations": None, "population": 20},
    # Litzinger, Klos & Schiffmann: small networks for little computation. AdaGrad, a falling rate
    # and He initialisation are the poster's; the numbers are the house's.
    "compact": {
        "normalisation": "batch",
        "initialisation": "he-normal",
        "optimizer": "adagrad",
        "learning_rate": 0.1,
        "epsilon": 1e-7,
        "weight_decay": 0.0,
        "schedule": "constant",
        "weight_average": 0.995,
        "label_smoothing": 0.0,
        "epochs": 4,
        "fresh_images": True,
        "affordable_evaluations": 100,
        "try_augmentations": True,
        "finalists": 4,
        "final_recipe": "long",
        "final_share": 0.45,
        "inherit": True,
        "freeze_share": 0.25,
        "epoch_patience": 1,
        "min_improvement": 0.002,
        "min_epochs": 1,
        "divergence": 4.0,
        "guessing_epochs": 2,
        "optimism": 2.0,
        "max_trainings": 2,
        "target_slack": 1.6,
        "population": 20,
        "crossover": 0.4,
        "mutation": 0.8,
        "parent_selection": "probabilistic-tournament",
        "step_half_life": 100.0,
        "min_filters": 4,
        "max_filters": 64,
        "min_kernel": 3,
        "max_kernel": 5,
        "sizes": "log",
        "max_stride": 1,
        "pool_padding": "same",
        "min_features_at_birth": 4,
        "max_features_at_birth": 8,
        "min_classifier": 0,
        "max_classifier_at_birth": 1,
        "max_classifier": 2,
        "min_units": 8,
        "max_units": 64,
        "convolution_share": 0.75,
        "residual_share": 0.2,
        "average_share": 0.5,
        "activations": _LIKE_RELU,
        "dropouts": (0.0, 0.1, 0.2, 0.3),
        "max_dropout": 0.5,
        "reduction": "global-average",
        "modification": "stepwise",
        "change_share": 0.5,
        "add_share": 0.15,
        "delete_share": 0.15,
        "switch_share": 0.1,
        "scale_share": 0.1,
        "step_share": 0.15,
        "crossover_points": 2,
        "rules": (
            "convolution-first",
            "filters-never-shrink",
            "no-consecutive-poolings",
            "strides-within-windows",
            "least-resolution",
        ),
        "least_side": 3,
    },
}

# What a recipe says where a target accuracy asks for few parameters: the time is for more networks,
# all of them small, while the most accurate ones within a limit are slower.
WITH_A_TARGET: Mapping[str, Mapping[str, Any]] = {"compact": {"affordable_evaluations": 400}}

# The commands' own, the first of each by default; the others are for ``evolve``.
_OWN: Mapping[str, tuple[str, ...]] = {
    "transfer": ("transfer", "transfer-shifted"),
    "pretrain": ("pretrain",),
    "compress": ("compress", "untrained"),
}


def recipes_of(command: str) -> list[str]:
    """Return the names of the recipes of a command that begins a study."""
    if command in _OWN:
        return list(_OWN[command])
    others = {name for names in _OWN.values() for name in names}
    return [name for name in RECIPES if name not in others]

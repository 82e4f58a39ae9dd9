"""What a search can improve: one objective per measure of ``training.options.METRICS``."""

from collections.abc import Mapping

from evoconv.records import Objective

OBJECTIVES: Mapping[str, Objective] = {
    "accuracy": Objective(name="validation_accuracy", direction="maximize"),
    "balanced-accuracy": Objective(name="validation_balanced_accuracy", direction="maximize"),
    "macro-f1": Objective(name="validation_macro_f1", direction="maximize"),
    "cross-entropy": Objective(name="validation_cross_entropy", direction="minimize"),
}

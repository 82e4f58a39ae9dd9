"""evoconv: evolves convolutional image classifiers that fit a budget."""

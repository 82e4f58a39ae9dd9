"""Measurements of evoconv: ``python -m benchmarks`` runs those that are not stored yet."""

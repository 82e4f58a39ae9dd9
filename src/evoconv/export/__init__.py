"""Best individual: retrained, tested once, saved, loaded again."""

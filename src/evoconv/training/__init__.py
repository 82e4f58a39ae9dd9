"""One network, one budget: a learning curve."""

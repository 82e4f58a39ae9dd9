"""What evolves: immutable values; never torch."""

"""HOW it is searched: numpy only, never torch."""

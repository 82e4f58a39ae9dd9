"""WHAT is searched: one file per search."""

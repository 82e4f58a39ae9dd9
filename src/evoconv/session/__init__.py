"""One process's work on one study, where all parts meet: search, finish, check, report."""

"""``python -m benchmarks [NAME ...]``: measure what isn't stored yet, then print all as tables."""

import argparse

from benchmarks import (
    accuracy,
    coder,
    compression,
    coordinator,
    kept_memory,
    memory,
    methods,
    palettization,
    paper_tables,
    ranking,
    reinitialised,
    savings,
    scaling,
    sorting,
    throughput,
    transfer,
    unequal,
    unequal_simulated,
)

# Each has run(), which measures the missing cells, and tables(), which prints the stored ones.
BENCHMARKS = {
    "throughput": throughput,
    "scaling": scaling,
    "memory": memory,
    "kept_memory": kept_memory,
    "coordinator": coordinator,
    "sorting": sorting,
    "coder": coder,
    "compression": compression,
    "palettization": palettization,
    "unequal_simulated": unequal_simulated,
    "unequal": unequal,
    "accuracy": accuracy,
    "methods": methods,
    "paper_tables": paper_tables,
    "ranking": ranking,
    "reinitialised": reinitialised,
    "savings": savings,
    "transfer": transfer,
}


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--tables", action="store_true", help="measure nothing, print what is stored"
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name}; there are {', '.join(BENCHMARKS)}")
    chosen = [BENCHMARKS[name] for name in arguments.names or BENCHMARKS]
    if not arguments.tables:
        for benchmark in chosen:
            benchmark.run()
    for benchmark in chosen:
        benchmark.tables()


if __name__ == "__main__":
    main()

"""The command line.

A person's mistake is one sentence on standard error and exit code 2; a search that can't succeed is
exit code 1, Ctrl-C 130. ``EVOCONV_DEBUG=1`` shows where an error came from. What takes long to
import (torch, scikit-learn, matplotlib, SQLAlchemy, rich) is imported by the commands that need it.
"""

import os
import sys
import time
from collections.abc import Sequence

from evoconv.cli.commands import COMMANDS
from evoconv.cli.parser import build_parser
from evoconv.errors import EvoconvError, UserError
from evoconv.report.sentences import printable

__all__ = ["main"]

_INTERRUPTED, _BROKEN_PIPE = 130, 141  # 128 + the signal's number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; ``SystemExit`` after ``--help`` and bad usage."""
    started_at = time.time()
    _write_what_can_be_written()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parsed = build_parser(words).parse_args(words)
        code = COMMANDS[parsed.command](parsed, started_at)
        # Here, not at exit, where a closed pipe could only be complained of.
        sys.stdout.flush()
    except EvoconvError as error:
        if os.environ.get("EVOCONV_DEBUG"):
            raise
        # It may quote a hostile file.
        text = "\n".join(map(printable, str(error).split("\n")))
        sys.stderr.write(f"evoconv: {text}\n")
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        sys.stderr.write("evoconv: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (``| head``). Python flushes again at exit: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return code


def _write_what_can_be_written() -> None:
    """Let names that the terminal can't show be written as escapes, not end the command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

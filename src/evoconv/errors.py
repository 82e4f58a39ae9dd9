"""Every exception of evoconv.

::

    EvoconvError
    ├── UserError              the person can mend it: one clear sentence, exit code 2
    │   ├── ConfigError        an option out of range, or options that contradict each other
    │   ├── DataError          images, labels or archives that can't be used
    │   ├── StudyError         a run folder that is missing, in use, damaged or doesn't match
    │   └── MissingExtra       a package that only some uses need isn't installed
    └── SearchFailed           every candidate failed in the same way; exit code 1

A candidate network that fails is none of these: it is data with a reason (records.Failure).
"""


class EvoconvError(Exception):
    """Base of all exceptions that evoconv raises on purpose."""


class UserError(EvoconvError):
    """Something the person who called can mend; the message is one clear sentence."""


class ConfigError(UserError):
    """An option out of range, or options that contradict each other."""


class DataError(UserError):
    """Images, labels or archives that can't be used."""


class StudyError(UserError):
    """A run folder that is missing, in use, damaged, or doesn't match."""


class MissingExtra(UserError):
    """A package that only some uses need isn't installed; the message says how to install it."""


class SearchFailed(EvoconvError):
    """Every candidate failed in the same way, so going on would be a waste."""

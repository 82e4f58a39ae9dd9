"""Where a finished network of a study lies: the one that the study chose, or another trial's."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evoconv.study.storage import FILE_NAME

_FINAL, _CHECKED, _COMPRESSED = "final", "checked", "compressed"
_TRIAL = "trial-"

COMPRESSED_NAME = "model.evo"
"""Name of a compressed network's file in its folder."""

AUGMENTATIONS_NOTE = "augmentations"
"""Name of the note on augmentations compared before the final trainings."""

FINALISTS_NOTE = "finalists"
"""Name of the note on candidates trained in full before the best was chosen."""


RETRAINED_NOTE = "retrained"
"""Name of the notes on architectures that were trained again; the trial's number follows."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The folder and the notes of a finished network; ``number`` None is the study's own."""

    run: Path
    number: int | None = None

    @property
    def folder(self) -> Path:
        """The folder that holds ``best/``, ``test/`` and ``result.json``."""
        return self.run if self.number is None else self.run / f"{_TRIAL}{self.number}"

    @property
    def final_note(self) -> str:
        """Name of the note about its trainings."""
        return _FINAL if self.number is None else f"{_FINAL} {self.number}"

    @property
    def compressed_file(self) -> Path:
        """The network as one small file, where the study is a compression."""
        return self.folder / COMPRESSED_NAME

    @property
    def compressed_note(self) -> str:
        """Name of the note about the size of that."""
        return _COMPRESSED if self.number is None else f"{_COMPRESSED} {self.number}"

    @property
    def checked_note(self) -> str:
        """Name of the note about its check in a fresh process."""
        return _CHECKED if self.number is None else f"{_CHECKED} {self.number}"


def run_of(folder: Path) -> Path | None:
    """Return the run folder of a finished network's folder; None if no study is there."""
    candidates = (folder, folder.parent) if folder.name.startswith(_TRIAL) else (folder,)
    return next((one for one in candidates if (one / FILE_NAME).is_file()), None)


def finished_trials(run: Path, note_names: Iterable[str]) -> Iterator[Finished]:
    """Yield the trials that were finished beside the study's own, by their notes' names."""
    for name in note_names:
        kind, _, number = name.partition(" ")
        if kind == _FINAL and number.isdecimal():
            yield Finished(run=run, number=int(number))

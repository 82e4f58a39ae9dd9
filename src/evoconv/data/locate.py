"""A path → the source of the format found there."""

from pathlib import Path

from evoconv.data.archives import ARCHIVE_SUFFIXES, locate_archive
from evoconv.data.cache import cache_root
from evoconv.data.class_folders import locate_class_folders
from evoconv.data.idx import find_idx_files, locate_idx
from evoconv.data.npz import locate_npz
from evoconv.data.raw_set import Source
from evoconv.errors import DataError


def locate_path(path: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Return the source at an existing path; ``classes`` names the labels 0, 1, … of IDX files.

    Raises:
        DataError: the path is of no known format.
    """
    if path.is_dir():
        if find_idx_files(path):
            return locate_idx(path, classes)
        return locate_class_folders(path)
    name = path.name.lower()
    if name.endswith(ARCHIVE_SUFFIXES):
        return locate_archive(path, cache_root())
    if name.endswith(".npz"):
        return locate_npz(path)
    raise DataError(
        f"{path} is no folder, no {', '.join(ARCHIVE_SUFFIXES)} archive and no .npz file"
    )

"""A tree of class folders on disk. Links are followed, each real folder at most once."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from evoconv.data.decode import SUFFIXES, read_limited
from evoconv.data.layout import arrange
from evoconv.data.raw_set import RawSet, Source, shortened
from evoconv.errors import DataError


def locate_class_folders(root: Path) -> Source:
    """Return the tree as a source; its identity is all files' paths, sizes and times.

    Raises:
        DataError: a folder can't be read, or is empty.
    """
    files, empty = _walk(root)
    if not files:
        raise DataError(f"{root} is an empty folder")
    content = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape"))
    for relative, size, modified_ns in files:
        content.update(f"{relative}\0{size}\0{modified_ns}\n".encode("utf-8", "surrogateescape"))

    def open_tree() -> nullcontext[RawSet]:
        layout = arrange([relative for relative, _, _ in files], str(root))
        notes = [f"Empty folders ignored: {shortened(empty)}."] if empty else []
        return nullcontext(
            RawSet(
                names=layout.paths,
                labels=layout.labels,
                classes=layout.classes,
                declared=layout.declared,
                fetch=lambda index: read_limited(root / layout.paths[index]),
                notes=(*layout.notes, *notes),
            )
        )

    return Source(title=str(root), identity=content.hexdigest(), open=open_tree)


def iter_image_files(paths: Iterable[Path | str]) -> Iterator[Path]:
    """Yield every file given, and the images in every folder given and below, sorted.

    Raises:
        DataError: a path doesn't exist, or a folder holds no image.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            if not path.exists():
                raise DataError(f"no such file or folder: {path}")
            yield path
            continue
        hidden = (relative.split("/") for relative, _, _ in _walk(path)[0])
        found = [
            path.joinpath(*parts)
            for parts in hidden
            if not any(part.startswith(".") for part in parts)
            and parts[-1].lower().endswith(SUFFIXES)
        ]
        if not found:
            raise DataError(f"{path} holds no images ({', '.join(SUFFIXES)})")
        yield from found


def _walk(root: Path) -> tuple[list[tuple[str, int, int]], list[str]]:
    """Return the files below as sorted (relative path, size, time), and the empty folders."""
    files: list[tuple[str, int, int]] = []
    empty: list[str] = []
    visited: set[tuple[int, int]] = set()
    waiting = [(root, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in visited:
                continue
            visited.add((state.st_dev, state.st_ino))
            with os.scandir(folder) as entries:
                found = list(entries)
            for entry in found:
                if entry.is_dir():
                    waiting.append((folder / entry.name, f"{prefix}{entry.name}/"))
                elif entry.is_file():
                    state = entry.stat()
                    files.append((prefix + entry.name, state.st_size, state.st_mtime_ns))
        except OSError as error:
            raise DataError(f"can't read {error.filename or folder}: {error.strerror}") from error
        if not found and prefix:
            empty.append(prefix.rstrip("/"))
    return sorted(files), sorted(empty)

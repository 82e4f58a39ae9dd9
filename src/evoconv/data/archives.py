"""A tree of class folders inside a .tar, .tar.gz, .tgz or .zip, read without extracting anything.

An archive is hostile until shown otherwise. Refused: members outside the archive's own tree, links,
devices, encrypted or repeated members, and decompression bombs, by the sizes that are declared and
by the sizes that come out. A compressed tar is unpacked once into an unnamed temporary file,
because members are read in sorted order and gzip can't seek.
"""

import gzip
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TypeVar

from evoconv.data.decode import MAX_FILE_BYTES
from evoconv.data.layout import arrange
from evoconv.data.raw_set import RawSet, Source, identity_of
from evoconv.errors import DataError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")

# Pixels seldom compress 200 times; a bomb expands by thousands. Small archives may do as they like.
_MAX_EXPANSION = 200
_ALWAYS_ALLOWED_BYTES = 2**30
_CHUNK_BYTES = 2**20

# What the readers raise for bytes that aren't what they should be.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    UnicodeError,
)

_Member = TypeVar("_Member", zipfile.ZipInfo, tarfile.TarInfo)


def locate_archive(path: Path, scratch: Path) -> Source:
    """Return the archive as a source; a compressed tar is unpacked in the folder ``scratch``."""

    @contextmanager
    def open_zip() -> Iterator[RawSet]:
        with ExitStack() as stack:
            with _refusing_damage(path):
                archive = stack.enter_context(zipfile.ZipFile(path))
                members = _by_path(path, _files_of_zip(path, archive))
            yield _raw_set(path, members, archive.open)

    @contextmanager
    def open_tar() -> Iterator[RawSet]:
        with ExitStack() as stack:
            with _refusing_damage(path):
                file = stack.enter_context(_uncompressed(path, scratch))
                archive = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
                members = _by_path(path, _files_of_tar(path, archive))
            yield _raw_set(path, members, archive.extractfile)

    is_zip = path.name.lower().endswith(".zip")
    return Source(
        title=str(path), identity=identity_of([path]), open=open_zip if is_zip else open_tar
    )


def check_expansion(path: Path, num_bytes: int) -> None:
    """Raise ``DataError`` if a file unpacks, or is said to unpack, to so much that it is a bomb."""
    limit = max(_ALWAYS_ALLOWED_BYTES, _MAX_EXPANSION * path.stat().st_size)
    if num_bytes > limit:
        raise DataError(f"{path} unpacks to more than the {limit:,} bytes allowed for its size")


def _raw_set(
    path: Path, members: Mapping[str, _Member], open_member: Callable[[_Member], IO[bytes] | None]
) -> RawSet:
    layout = arrange(list(members), str(path))

    def fetch(index: int) -> bytes:
        name = layout.paths[index]
        try:
            file = open_member(members[name])
            assert file is not None, "only regular files are kept"
            with file:
                data = file.read(MAX_FILE_BYTES + 1)
        except _DAMAGE as error:
            raise DataError(f"{name} in {path} is damaged: {error}") from error
        if len(data) > MAX_FILE_BYTES:
            largest = MAX_FILE_BYTES // 2**20
            raise DataError(f"{name} in {path} is larger than an image may be, {largest} MiB")
        return data

    return RawSet(
        names=layout.paths,
        labels=layout.labels,
        classes=layout.classes,
        declared=layout.declared,
        fetch=fetch,
        notes=layout.notes,
    )


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{path} is a damaged archive: {error}") from error


def _by_path(path: Path, files: Iterable[tuple[str, _Member]]) -> dict[str, _Member]:
    """Return the files by their relative path with ``/``; refuse one outside, or twice the same."""
    members: dict[str, _Member] = {}
    for name, member in files:
        parts = name.replace("\\", "/").split("/")
        if parts[0] == "" or ".." in parts or parts[0].endswith(":") or "\0" in name:
            raise DataError(f"{path} holds a member that points outside it: {name!r}")
        plain = "/".join(part for part in parts if part not in ("", "."))
        if plain in members:
            raise DataError(f"{path} holds {plain!r} more than once")
        members[plain] = member
    return members


def _files_of_zip(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    check_expansion(path, sum(one.file_size for one in archive.infolist()))
    for one in archive.infolist():
        kind = stat.S_IFMT(one.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{path} holds a link or a device: {one.filename!r}")
        if one.flag_bits & 1:
            raise DataError(f"{path} is encrypted: {one.filename!r}")
        if not one.is_dir():
            yield one.filename, one


def _files_of_tar(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for one in archive:
        if not (one.isfile() or one.isdir()) or one.issparse():
            raise DataError(f"{path} holds a link, a device or a sparse file: {one.name!r}")
        if one.isfile():
            yield one.name, one


@contextmanager
def _uncompressed(path: Path, scratch: Path) -> Iterator[IO[bytes]]:
    """Yield the plain tar; what gzip gives is counted while it comes."""
    with path.open("rb") as packed:
        is_gzip = packed.read(2) == b"\x1f\x8b"
        packed.seek(0)
        if not is_gzip:
            yield packed
            return
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=scratch) as unpacked:
            with gzip.GzipFile(fileobj=packed) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    unpacked.write(chunk)
                    check_expansion(path, unpacked.tell())
            unpacked.seek(0)
            yield unpacked

"""Sets known by name: one ships with scikit-learn, three are looked for or downloaded.

A downloadable set is taken from ``$EVOCONV_DATA`` if a folder or archive of its name is there, else
from the cache, else from the first mirror that gives files with the right SHA-256. Setting
``$EVOCONV_MIRROR`` to a base address replaces the public mirrors; it must serve ``<name>/<file>``.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pooch

from evoconv.data.archives import ARCHIVE_SUFFIXES
from evoconv.data.arrays import Part, raw_set_of
from evoconv.data.cache import Notify, cache_root, writing_to
from evoconv.data.cifar_binary import locate_cifar_binary
from evoconv.data.image_set import Declared
from evoconv.data.locate import locate_path
from evoconv.data.raw_set import RawSet, Source
from evoconv.errors import DataError

_TIMEOUT_S = 30

_IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True, kw_only=True)
class Download:
    """Where a set's files are, and what they must hash to.

    Attributes:
        sha256: of each file by name.
        mirrors: base addresses, tried in order.
        locate: the downloaded folder → source.
        classes: names of the labels 0, 1, … where the files don't hold them.
    """

    sha256: Mapping[str, str]
    mirrors: tuple[str, ...]
    locate: Callable[[Path], Source] = locate_path
    classes: tuple[str, ...] | None = None


DOWNLOADS: dict[str, Download] = {
    "mnist": Download(
        sha256=dict(
            zip(
                _IDX_FILES,
                (
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
                strict=True,
            )
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
        ),
    ),
    "fashion-mnist": Download(
        sha256=dict(
            zip(
                _IDX_FILES,
                (
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
                strict=True,
            )
        ),
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        ),
        classes=_FASHION,
    ),
    "cifar10": Download(
        sha256={
            "cifar-10-binary.tar.gz": (
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            )
        },
        mirrors=("https://www.cs.toronto.edu/~kriz", "https://cave.cs.toronto.edu/kriz"),
        locate=lambda folder: locate_cifar_binary(folder / "cifar-10-binary.tar.gz"),
    ),
}

KNOWN_NAMES = ("digits", *DOWNLOADS)


def locate_named(name: str, notify: Notify) -> Source:
    """Return one of the ``KNOWN_NAMES`` as a source, downloading it if it is nowhere.

    Raises:
        DataError: no mirror can be reached, or none gives the right files.
    """
    if name == "digits":
        return Source(title="digits", identity="scikit-learn's digits", open=_open_digits)
    download = DOWNLOADS[name]
    local = _find_local(name)
    if local is not None:
        return locate_path(local, download.classes)
    folder = fetch(name, download, notify)
    if download.classes is not None:
        return locate_path(folder, download.classes)
    return download.locate(folder)


def fetch(name: str, download: Download, notify: Notify) -> Path:
    """Return the folder that holds a set's files, downloading the missing ones and checking all."""
    own_mirror = os.environ.get("EVOCONV_MIRROR")
    mirrors = (f"{own_mirror.rstrip('/')}/{name}",) if own_mirror else download.mirrors
    folder = cache_root() / "downloads" / name
    pooch.get_logger().setLevel("WARNING")
    for file_name, sha256 in download.sha256.items():
        if not (folder / file_name).exists():
            notify(f"downloading {name}: {file_name}")
        reasons = []
        for mirror in mirrors:
            reason = _retrieve(f"{mirror}/{file_name}", folder, sha256)
            if reason is None:
                break
            reasons.append(reason)
        else:
            raise DataError(
                f"can't download {name} ({'; '.join(reasons)}): put {', '.join(download.sha256)} "
                f"into a folder called {name} and set EVOCONV_DATA to the folder it is in, or use "
                "digits, which needs no network"
            )
    return folder


def _find_local(name: str) -> Path | None:
    folder = os.environ.get("EVOCONV_DATA")
    if not folder:
        return None
    endings = ("", *ARCHIVE_SUFFIXES, ".npz")
    candidates = [Path(folder).expanduser() / f"{name}{ending}" for ending in endings]
    return next((path for path in candidates if path.exists()), None)


def _retrieve(url: str, folder: Path, sha256: str) -> str | None:
    """Download a file unless it is there already; return why it failed, None if it didn't."""
    host = urlsplit(url).netloc
    with writing_to(folder):
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                fname=url.rpartition("/")[2],
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S, progressbar=False),
            )
        except ValueError:
            return f"{host} gave a file with another checksum"
        except OSError as error:
            # What the network raises has no error number of its own; what the disk raises has.
            if error.errno is not None:
                raise
            response = getattr(error, "response", None)
            if response is None:
                return f"{host} can't be reached"
            return f"{host} answered {response.status_code}"
    return None


def _open_digits() -> AbstractContextManager[RawSet]:
    # Here, because importing scikit-learn takes a second that no other set needs.
    from sklearn.datasets import load_digits

    digits = load_digits()
    # The values 0..16 of the 8x8 images become 0..255, all different.
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    part = Part(name="digits", images=images, labels=digits.target, declared=Declared.ANY)
    return nullcontext(raw_set_of([part], "digits"))

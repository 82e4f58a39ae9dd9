"""Every image of a raw set, decoded by several threads, in order.

Pillow and NumPy release the interpreter's lock while they work. Files are read by one thread,
because archives can't be shared; no more than one round of them is in memory at a time.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from evoconv.data.raw_set import Item, RawSet
from evoconv.errors import DataError
from evoconv.machine import num_cores

Result = TypeVar("Result")

_ROUND_IMAGES = 512
_ROUND_BYTES = 64 * 2**20


def work_on_images(
    raw: RawSet, rows: Sequence[int], work: Callable[[Item, str], Result]
) -> Iterator[tuple[int, Result | DataError]]:
    """Yield each row in order, with what ``work(item, name)`` returned or the error it raised."""
    num_threads = num_cores()

    def work_on(items: Sequence[tuple[int, Item | DataError]]) -> list[Result | DataError]:
        results: list[Result | DataError] = []
        for row, item in items:
            try:
                results.append(item if isinstance(item, DataError) else work(item, raw.names[row]))
            except DataError as error:
                results.append(error)
        return results

    with ThreadPoolExecutor(num_threads) as pool, warnings.catch_warnings():
        # What Pillow only warns of, such as odd metadata, isn't wrong with the pixels.
        warnings.simplefilter("ignore")
        for items in _rounds(raw, rows):
            shares = [items[start::num_threads] for start in range(num_threads)]
            done = list(pool.map(work_on, shares))
            for place, (row, _) in enumerate(items):
                yield row, done[place % num_threads][place // num_threads]


def _rounds(raw: RawSet, rows: Sequence[int]) -> Iterator[list[tuple[int, Item | DataError]]]:
    items: list[tuple[int, Item | DataError]] = []
    num_bytes = 0
    for row in rows:
        try:
            item: Item | DataError = raw.fetch(row)
        except DataError as error:
            item = error
        items.append((row, item))
        if not isinstance(item, DataError):
            num_bytes += len(item) if isinstance(item, bytes) else item.nbytes
        if len(items) >= _ROUND_IMAGES or num_bytes >= _ROUND_BYTES:
            yield items
            items, num_bytes = [], 0
    if items:
        yield items

"""The range of values that becomes 0 to 255 in a data set of more than 8 bits per channel: one for all its images."""

import collections
import math

import numpy as np

from ssljax.data import decode, depth, formats, kinds
from ssljax.data.archive import Changed
from ssljax.data.memory import parallel
from ssljax.data.shards import Table
from ssljax.text.wording import shown

_FILES = 256  # of a split that are looked at
_PIXELS = 1 << 15  # of each
_PNG = b'\x89PNG\r\n\x1a\n'
_PERCENTILES = 0.1, 99.9


def parsed(text: str):
    """config.data.range: 'auto', 'full' or (low, high).

    Raises:
      ValueError: it is none of these.
    """
    if text in ('auto', 'full'):
        return text
    try:
        low, high = map(float, text.split(','))
        if math.isfinite(high - low) and low < high:
            return low, high
    except (ValueError, AttributeError):
        pass
    raise ValueError(f"config.data.range={shown(text)} must be 'auto', 'full' or 'LOW,HIGH', such as '0,4095'.")


def decide(splits: dict, text: str, most: int):
    """What `depth.plain` is given for every image of a data set.

    'auto' takes percentiles of an even sample of the training files, so a few stray pixels do not matter.

    Args:
      splits: {name: (Files, numbers int64 [n], ...)}.
      text: config.data.range.
      most: pixels of an image at most; larger ones are not looked at.

    Returns:
      (low, high); 'full'; or None if no channel has more than 8 bits.

    Raises:
      ValueError: images of 8 bits and of more, or of several types, are mixed; or a range is given but has no use.
    """
    given = parsed(text)
    if given == 'full':
        return given
    found = {name: _kinds(files, numbers, most) for name, (files, numbers, *_) in splits.items()}
    kinds = collections.Counter(kind for sample in found.values() for kind, _, _ in sample)
    if not any(kinds):
        if given != 'auto' and kinds:
            raise ValueError(
                f'config.data.range={shown(text)} is for images of more than 8 bits per channel; all {kinds[""]} that '
                'were '
                "looked at have 8: leave it at 'auto'."
            )
        return None
    if kinds[''] or given == 'auto' and len(kinds) > 1:
        seen = ', '.join(f'{count} {kind or "8-bit"}' for kind, count in sorted(kinds.items()))
        raise ValueError(
            f'The images are stored in different types, whose values cannot be compared (of those looked at: {seen}): '
            "convert them to one, or set config.data.range='full' if each fills the range of its type."
        )
    return given if given != 'auto' else _percentiles(found['train' if 'train' in found else next(iter(found))], most)


def agrees(span, splits: dict, of: str, most: int) -> None:
    """Raises ValueError if further images, `of`, have another depth than those that `span` was decided for."""
    if span == 'full':
        return
    for files, numbers, *_ in splits.values():
        for kind, number, _ in _kinds(files, numbers, most):
            if bool(kind) != bool(span):
                mixture(files.names[number], kind, of)


def mixture(name: str, kind: str, of: str):
    """Raises the ValueError of an image that has another depth than the training images."""
    raise ValueError(
        f'{name!r} of {of} holds {kind or "8-bit"} values, but the training images hold '
        f'{"8-bit values" if kind else "values of more than 8 bits"}: convert them to one type, or set '
        "config.data.range='full' if each fills the range of its type."
    )


def sample(n: int, most: int = _FILES):
    """int64 [min(n, most)]: one number of each of `most` even parts of 0..n, drawn with a fixed seed; sorted."""
    edges = np.arange(min(n, most) + 1) * n // max(min(n, most), 1)
    return np.random.Generator(np.random.Philox(n)).integers(edges[:-1], edges[1:])


def kind_of(data: bytes, most: int) -> str:
    """As `depth.kind`, for a file's bytes; pixels are decoded only for DICOM. Raises what Pillow does on a damaged
    file."""
    if data.startswith(b'\xff\xd8') or data.startswith(_PNG) and data[24] <= 8 or formats.of(data) == 'HEIC':
        return ''
    return depth.kind(decode.opened(data, most=most))


def _kinds(files, numbers, most) -> list:
    """(kind, number, Files) of a sample of files; those that cannot be read are left out."""
    found = []
    table = files.keys if isinstance(files.keys, Table) else None
    for number in np.asarray(numbers)[sample(len(numbers))].tolist():
        if table is not None and table.about.kind[number] != kinds.OTHER:  # known, without a request to a bucket
            found.append(('', number, files))
            continue
        try:
            found.append((kind_of(files.read(number), most), number, files))
        except (MemoryError, Changed):
            raise
        except formats.Missing as e:
            raise ValueError(f'The image {files.names[number]!r} {e}.') from e
        except Exception:  # a damaged file, which is handled when it is decoded
            continue
    return found


def _percentiles(found: list, most: int) -> tuple:
    pools = [np.empty(0)] * len(found)

    def look(start, stop):
        for i in range(start, stop):
            _, number, files = found[i]
            try:
                pools[i] = _pool(files.read(number), number, most)
            except (MemoryError, Changed):
                raise
            except Exception:  # as in _kinds
                continue

    parallel(look, len(found), 8)
    pool = np.concatenate(pools)
    if not len(pool):
        return 0.0, 1.0
    low = np.percentile(pool, _PERCENTILES[0], method='lower')
    high = np.percentile(pool, _PERCENTILES[1], method='higher')
    if low == high:  # nearly all pixels are equal
        low, high = pool.min(), pool.max()
    return float(low), float(high if high > low else low + max(1.0, abs(low)))


def _pool(data: bytes, seed: int, most: int):
    """Finite values of an image that can be seen, float64 [n]: all, or a sample."""
    image = decode.opened(data, most=most)
    array, alpha, _ = depth.values(image, data)
    array = array.reshape(-1, array.shape[2]) if alpha is None else array[alpha > 0]
    array = array.reshape(-1)
    if len(array) > _PIXELS:
        array = array[np.random.Generator(np.random.Philox(seed)).integers(0, len(array), _PIXELS)]
    array = array.astype(np.float64)
    return array[np.isfinite(array)]

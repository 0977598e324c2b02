"""Splits and classes, read from the names of folders; what can be read in two ways is refused."""

import unicodedata
from collections import Counter, defaultdict

import numpy as np

from ssljax.data import pattern, split_names
from ssljax.data.names import EXTENSIONS
from ssljax.data.split_names import kind_of
from ssljax.text.literal import clean

_NO_FOLDERS = 'There are no folders; classes can also come from a CSV (csv:PATH) or file names (config.data.pattern).'


class Unlabelled(ValueError):
    """No image is in the folder of a class."""


def layout(files, path):
    """Reads splits and classes from folder names.

    Returns:
      classes, tuple of str, sorted, in Unicode's form NFC, so that a name is the same however a system writes it; and
      {'train' | 'val' | 'test' | 'unlabeled': (files int64 [n], labels int32 [n])}. If there are only 'train' and
      'val', 'val' is returned as 'test'.

    Raises:
      ValueError: an image lies in no class folder, a class folder holds no image, the folders could be splits as well
        as classes, and the like; it names what was seen.
    """
    if not files.names:
        raise ValueError(f'There is no image in {path!r}; recognised extensions are {" ".join(sorted(EXTENSIONS))}.')
    names = [tuple(name.split('/')) for name in files.names]
    folders = {tuple(folder.split('/')) for folder in files.folders}
    where = _split_folders(names, folders, path)
    starts = _starts(names, where)
    found = {'unlabeled': []}
    for number, name in enumerate(names):
        split = where.get(name[0], 'train') if where else 'train'
        start = starts.get(split, 0)
        inner = name[start:]
        if split == 'unlabeled' or (split == 'train' and _is_unlabeled(name, start)):
            found['unlabeled'].append((number, None))
        elif len(inner) < 2:
            raise ValueError(_outside(files.names[number], split, where, names, path))
        else:
            found.setdefault(split, []).append(
                (number, unicodedata.normalize('NFC', inner[0]))
            )  # macOS writes another form
    _check_empty(names, folders, where, starts, path)
    for folder, split in where.items():
        if split != 'unlabeled' and not found.get(split):
            raise ValueError(f'The split folder {folder!r} in {path!r} holds no labelled image.')
    inners = [names[n][starts.get(split, 0) :] for split in found if split != 'unlabeled' for n, _ in found[split]]
    _check_classes(inners, path)
    return _numbered(found, path)


def _numbered(found, path):
    """What `layout` returns, from {split: [(number, class or None)]}."""
    if not found.get('train'):
        raise Unlabelled(f'All images in {path!r} are unlabelled: sort some of them into one folder per class.')
    folders = sorted({label for _, label in found['train']})
    number_of = {name: i for i, name in enumerate(folders)} | {None: -1}
    splits = {}
    for split, items in found.items():
        if unknown := Counter(label for _, label in items if label not in number_of):
            trained = _shown(Counter(label for _, label in found['train']))
            raise ValueError(
                f'The class {min(unknown)!r} of the {split} split in {path!r} has no training images: {split} has '
                f'{_shown(unknown)}, but train has {trained}.'
            )
        splits[split] = (
            np.array([n for n, _ in items], np.int64),
            np.array([number_of[label] for _, label in items], np.int32),
        )
    if 'val' in splits and 'test' not in splits:
        splits['test'] = splits.pop('val')
    return tuple(map(clean, folders)), splits


def _split_folders(names, folders, path):
    """{top folder: its split}, or {} if the top folders are classes."""
    counts = Counter(name[0] for name in names if len(name) > 1)
    flat = {name[0] for name in names if len(name) == 2}
    counts.update({f[0]: 0 for f in folders if f[0] not in counts and kind_of(f[0])})  # empty ones
    meanings = {folder: split_names.meaning(folder) for folder in counts}
    known = {folder: kind for folder, (kind, rest) in meanings.items() if kind and (not rest or kind == 'unlabeled')}
    partly = {folder: found for folder, found in meanings.items() if found.kind and folder not in known}
    for folder, (kind, rest) in partly.items():  # cats_train beside cats_test
        kinds = {other.kind for other in partly.values() if other.rest == rest}
        if 'train' in kinds and len(kinds) > 1:
            known[folder] = kind
    labeled = {folder for folder, kind in known.items() if kind != 'unlabeled'}
    everything = len(known | partly) == len(counts) and len({m.kind for m in partly.values()}) > 1
    if not labeled and not everything:
        return {}
    classes = {folder: n for folder, n in counts.items() if known.get(folder) != 'unlabeled'}
    if labeled and _is_class(labeled, classes, flat):
        return {}
    known |= {folder: found.kind for folder, found in partly.items()}
    _check_splits(known, counts, path)
    return known


def _is_class(named, classes, flat):
    """Whether the one folder in `named`, called train, is a class among others: a vehicle, not a split. Or valid beside
    invalid."""
    if len(named) != 1 or not flat >= set(classes):
        return False
    (name,) = named
    others = {f.lower() for f in classes if f != name}
    train = name.lower() == 'train' and len(others) > 1 and not any(map(split_names.is_holder, others))
    return train or (name.lower() == 'valid' and 'invalid' in others)


def _check_splits(known, counts, path):
    strange = Counter({folder: n for folder, n in counts.items() if known.get(folder) in (None, 'several')})
    if 'train' not in known.values():
        raise ValueError(
            f'The folders {_shown(counts)} in {path!r} have no train folder and no classes beside them: '
            'put one folder per class inside a folder called train.'
        )
    train = next(folder for folder, kind in known.items() if kind == 'train')
    if strange:
        raise ValueError(
            f'Next to the split folder {train!r} in {path!r} there is {next(iter(strange))!r}, which is not a split: '
            f'allowed are train, val, test and unlabeled. Found: {_shown(counts)}. Move the others away, or, if '
            f'{train!r} is a class, rename it.'
        )
    first = {}
    for folder, kind in sorted(known.items()):
        if kind in first:
            raise ValueError(
                f'The folders {first[kind]!r} and {folder!r} in {path!r} are the same split ({kind}): keep one. '
                f'Found: {_shown(counts)}.'
            )
        first[kind] = folder


def _starts(names, where):
    """{split: the place of the class in its images' paths}: below a single folder around all classes of a split."""
    starts, known = {}, set()
    for split in ('train', 'val', 'test'):
        inner = [n for n in names if not where or where.get(n[0]) == split]
        if not inner or (not where and split != 'train'):
            continue
        start = 1 if where else 0
        while True:
            labeled = [n[start:] for n in inner if not _is_unlabeled(n, start)]
            top = {n[0] for n in labeled}
            single = len(top) == 1 and all(len(n) > 2 for n in labeled) and not top & known
            if not single or kind_of(next(iter(top))) not in (None, split):
                break
            start += 1
        starts[split] = start
        if split == 'train':
            known = top
    return starts


def _is_unlabeled(name, start):
    """Whether a path has an unlabelled folder where the class would be, or above."""
    return any(kind_of(folder) == 'unlabeled' for folder in name[: min(start + 1, len(name) - 1)])


def _outside(name, split, where, names, path):
    direct = sum(len(n) == 2 and where.get(n[0]) == split for n in names) if where else 0
    among = f' Its split has {direct} such images.' if direct > 1 else ''
    tops = Counter(n[0] for n in names if len(n) > 1)
    found = f'Found: {_shown(tops)}.' if tops else _NO_FOLDERS
    return (
        f'The image {name!r} in {path!r} is not in a class folder: move it into a folder named after its class, or '
        'into '
        f"one called 'unlabeled'.{among}{_prefixes(names)} {found}"
    )


def _prefixes(names) -> str:
    """Advice if the files that are in no class folder are named after their class, such as cat.0.jpg and dog.1.jpg."""
    flat = [n[-1] for n in names if len(n) == min(map(len, names))]
    if not (found := pattern.advice(flat)):
        return ''
    first: dict = {}
    for file in sorted(flat):
        if said := pattern.compiled(found).fullmatch(file):
            first.setdefault(said['label'].lower(), file)
    some = ' and '.join(map(repr, list(first.values())[:2]))
    return f" If names such as {some} begin with the class, set --config.data.pattern='{found}'."


def _check_empty(names, folders, where, starts, path):
    for split, start in starts.items():
        mine = [n for n in names if (not where or where.get(n[0]) == split) and not _is_unlabeled(n, start)]
        prefix = mine[0][:start] if mine else ()
        full = {name[: start + 1] for name in names}
        for folder in sorted(f for f in folders if len(f) == start + 1 and f[:start] == prefix):
            if folder not in full and kind_of(folder[-1]) != 'unlabeled':
                raise ValueError(f'The class folder {"/".join(folder)!r} in {path!r} has no images: fill or remove it.')


def _check_classes(inners, path):
    """Raises ValueError if what would be classes may be something else; `inners` are paths from the class on."""
    counts = Counter(n[0] for n in inners)
    flat, below = {n[0] for n in inners if len(n) == 2}, defaultdict(Counter)
    for n in inners:
        if len(n) > 2:
            below[n[0]][n[1]] += 1
    seen = f'Found: {_shown(counts, below)}.'
    deep = next(('/'.join(n[: i + 1]) for n in inners for i in range(1, len(n) - 1) if kind_of(n[i])), None)
    if deep:
        raise ValueError(
            f'The folder {deep!r} in {path!r} is named like a split, but lies inside what would be a class: put train, '
            f'val and test above the class folders, or give the folder that holds them. {seen}'
        )
    named = {folder for folder in counts if kind_of(folder)}
    if named and not _is_class(named, counts, flat):
        raise ValueError(
            f'The folder {min(named)!r} in {path!r} is named like a split but sits among the classes: move or rename '
            f'it. {seen}'
        )
    if holders := sorted(filter(split_names.is_holder, counts)):
        raise ValueError(
            f'The folder {holders[0]!r} in {path!r} would be a class, but is not named like one: give the folder that '
            f'holds the class folders, move away what is not a class, or rename it. {seen}'
        )
    nested = set(below) - flat
    if (nested and flat) or (len(counts) == 1 and below):
        one = min(nested or counts)
        raise ValueError(
            f'The folders in {path!r} may not all be classes: images of {one!r} are in subfolders, others '
            f'directly in {min(flat)!r}. Put the images of each class directly into its folder, and move away what is '
            f'not a class. {seen}'
        )
    _check_repeated({folder: below[folder] for folder in nested}, path, seen)


def _check_repeated(below, path, seen):
    """Raises ValueError if most of the folders below several ones have the same names: those may be the classes."""
    owners = Counter(name for inner in below.values() for name in inner)
    shared = {name for name, n in owners.items() if n > 1}
    alike = sorted(f for f, inner in below.items() if 2 * len(shared & inner.keys()) >= len(inner))
    if len(owners) > 1 and shared and len(alike) > 1:
        raise ValueError(
            f'The folders {alike[0]!r} and {alike[1]!r} in {path!r} contain folders with the same names, such as '
            f'{min(shared)!r}: which are the classes? Give one of them, name them train, val and test, or put the '
            f'images of each class directly into its folder. {seen}'
        )


def _shown(counts, below=None, most=6):
    """Folders with their numbers of images, and some of the folders in them."""
    parts = []
    for folder in sorted(counts)[:most]:
        inner = sorted((below or {}).get(folder, ()))
        inside = f' in {", ".join(map(repr, inner[:3]))}{" ..." if len(inner) > 3 else ""}' if inner else ''
        parts.append(f'{folder!r} ({counts[folder]:,} image{"s" * (counts[folder] != 1)}{inside})')
    return ', '.join(parts) + (f' and {len(counts) - most} more' if len(counts) > most else '')

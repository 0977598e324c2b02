"""Splits and classes of image files, read from the names of their folders."""

import collections
import re

import numpy as np

_KINDS = {
    'train': 'train training trainset trainingset trn',
    'val': 'val valid validation valset validationset dev devel development devset',
    'test': 'test testing testset testingset tst eval evaluation holdout heldout',
    'unlabeled': 'unlabeled unlabelled unsupervised unsup',
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}
# Words that may stand beside such a one without making a class of it.
_FILLERS = frozenset('set sets data dataset images image imgs img pictures photos samples split folder'.split())
# Folders of data sets that are hardly ever classes.
_NO_CLASSES = frozenset(
    'static assets images imgs img pictures media annotations thumbnails thumbs docs masks ground_truth'.split()
)
_SHOWN = 6


def layout(files, path):
    """Reads splits and classes from folder names.

    Split folders are known in any usual spelling (`split_kind`) and with a common prefix or suffix (`seg_train`,
    `seg_test`); single folders around everything, or around all that a split holds, are passed over.

    Returns:
      classes, tuple of str, sorted; and {'train' | 'val' | 'test' | 'unlabeled': (files int64 [n], labels
      int32 [n])}. Where there are only 'train' and 'val', 'val' is returned as 'test'.

    Raises:
      ValueError: an image lies in no class folder, a class folder holds no image, or folders can be read in more than
        one way; the message says what was seen.
    """
    names = [tuple(name.split('/')) for name in files.names]
    full = {name[:i] for name in names for i in range(1, len(name))}
    folders = full | {tuple(folder.split('/')) for folder in files.folders}
    top = {folder[0] for folder in full if len(folder) == 1}
    kinds = _kinds(top)
    where = _splits(names, kinds, top, path)
    found, depth = _sorted_out(files, names, where, kinds, path)
    _check_empty(folders, full, where, depth, found, path)
    classes = tuple(sorted({label for _, label in found['train']}))
    number_of = {name: i for i, name in enumerate(classes)} | {None: -1}
    splits = {}
    for split, items in found.items():
        unknown = sorted({label for _, label in items} - set(number_of))
        if unknown:
            raise ValueError(
                f'The class {unknown[0]!r} of the {split} split in {path!r} has no training images; the classes with '
                f'training images are {_listed(classes)}.'
            )
        splits[split] = (
            np.array([n for n, _ in items], np.int64),
            np.array([number_of[label] for _, label in items], np.int32),
        )
    if 'val' in splits and 'test' not in splits:
        splits['test'] = splits.pop('val')
    return classes, splits


def split_kind(folder: str) -> str | None:
    """'train', 'val', 'test' or 'unlabeled' for a folder whose name says nothing else, else None.

    Case, digits at the end ('train2017'), separators and words such as 'set' and 'images' do not matter.
    """
    words = [word for word in _words(folder) if word not in _FILLERS]
    return _KIND_OF.get(words[0]) if len(words) == 1 else None


def _words(folder: str) -> list[str]:
    apart = re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', folder)
    return [w for w in re.split(r'[\s_.\-]+', re.sub(r'[\s_.\-]*\d+$', '', apart).lower()) if w]


def _kinds(top) -> dict[str, str]:
    """{folder: kind} of those that are splits: by their own name, or because several differ in such a word alone."""
    kinds = {folder: kind for folder in top if (kind := split_kind(folder))}
    alike = collections.defaultdict(dict)  # what is left of a name without the word: {kind: folder}
    for folder in sorted(set(top) - set(kinds)):
        words = _words(folder)
        for place in (0, -1):
            if words and (kind := _KIND_OF.get(words[place])):
                rest = tuple(w for w in words[1:] + [''] if w) if place == 0 else tuple(words[:-1])
                alike[place, rest].setdefault(kind, folder)
    for group in alike.values():
        if 'train' in group and len(group) > 1:
            kinds |= {folder: kind for kind, folder in group.items()}
    return kinds


def _splits(names, kinds: dict, top, path) -> dict:
    """{kind of split: its folder}, or {'train': ''} where the folders at the top are the classes."""
    strange = sorted(top - kinds.keys())
    direct = {name[0] for name in names if len(name) == 2}
    nested = {name[0] for name in names if len(name) > 2}
    train = sorted(folder for folder in kinds if kinds[folder] == 'train')
    if train and not strange:
        where = {}
        for folder in sorted(kinds):
            if kinds[folder] in where:
                raise ValueError(
                    f'The folders {where[kinds[folder]]!r} and {folder!r} in {path!r} are the same '
                    f'split: keep one ({_seen(names)}).'
                )
            where[kinds[folder]] = folder
        return where
    evaluated = sorted(folder for folder in kinds if kinds[folder] in ('val', 'test'))
    if train and (nested.intersection(train) or evaluated):
        raise ValueError(
            f'Beside the split folder {train[0]!r} in {path!r} there is {strange[0]!r}, which is no '
            f'split ({_seen(names)}): allowed are train, val, test and unlabeled. Take the other folder away, or give '
            'the path of a folder that holds the splits alone.'
        )
    if evaluated and not strange:
        raise ValueError(
            f'The folders {sorted(top)} in {path!r} have no train folder and no classes beside them: '
            'put one folder per class inside a folder called train.'
        )
    if evaluated and not (len(top) == 1):
        raise ValueError(
            f'The folder {evaluated[0]!r} in {path!r} stands beside {strange[0]!r}, so that it could be a split or a '
            f'class ({_seen(names)}): put the classes inside a folder called train, or rename it.'
        )
    _check_classes(names, [folder for folder in top if kinds.get(folder) != 'unlabeled'], direct, nested, path)
    return {'train': ''}


def _check_classes(names, classes, direct, nested, path) -> None:
    """Raises ValueError where folders that would be the classes look like something else."""
    inner = {folder: {name[1] for name in names if name[0] == folder and len(name) > 2} for folder in classes}
    owners = collections.Counter(word.lower() for folders in inner.values() for word in folders)
    for folder in sorted(inner):
        for word in sorted(inner[folder]):
            if split_kind(word) not in (None, 'unlabeled'):
                raise ValueError(
                    f'The folder {folder!r} in {path!r} holds {word!r}, which looks like a split below a class '
                    f'({_seen(names)}): put the splits at the top, with a folder per class inside each.'
                )
            wrapper = len(inner[folder]) == 1 and word.lower() in _NO_CLASSES | _FILLERS
            if owners[word.lower()] > 1 and not wrapper:
                raise ValueError(
                    f'Several folders in {path!r} hold a folder {word!r} ({_seen(names)}): are the classes the outer '
                    'or the inner folders? Put one folder per class at the top, or inside folders called train, val '
                    'and test.'
                )
    odd = sorted(folder for folder in classes if '_'.join(_words(folder)) in _NO_CLASSES)
    if odd and len(classes) > 1:
        raise ValueError(
            f'The folder {odd[0]!r} in {path!r} does not look like a class ({_seen(names)}): take it away, rename it, '
            'or put one folder per class inside a folder called train.'
        )


def _sorted_out(files, names, where, kinds, path) -> tuple[dict, int]:
    """({split: [(number of the file, class or None)]}, how many folders lead to a class)."""
    split_of = {folder: kind for kind, folder in where.items()}
    flat = where == {'train': ''}
    inside = collections.defaultdict(list)
    for name in names:
        inside['train' if flat else split_of[name[0]]].append(name if flat else name[1:])
    wrapped = {} if flat else {split: _wrappers(inside[split], split) for split in inside}
    found = {'unlabeled': []}
    for number, name in enumerate(names):
        split = 'train' if flat else split_of[name[0]]
        inner = name if flat else name[1 + wrapped[split] :]
        inner_kind = (kinds.get(inner[0]) if flat else split_kind(inner[0])) if len(inner) > 1 else None
        if split == 'unlabeled' or (split == 'train' and inner_kind == 'unlabeled'):
            found['unlabeled'].append((number, None))
        elif len(inner) < 2:
            raise ValueError(
                f'The image {files.names[number]!r} in {path!r} lies in no class folder ({_seen(names)}): put it into '
                "a folder named after its class, or into one called 'unlabeled'."
            )
        else:
            found.setdefault(split, []).append((number, inner[0]))
    for split in where:
        if split != 'unlabeled' and not found.get(split):
            raise ValueError(f'The split folder {where[split]!r} in {path!r} holds no labelled image.')
    return found, 1 if flat else 2 + max(wrapped.values(), default=0)


def _wrappers(names, split: str) -> int:
    """How many single folders, called as the split or as nothing in particular, are around all classes of a split."""
    count = 0
    while len({name[count] for name in names}) == 1 and all(len(name) > count + 2 for name in names):
        folder = names[0][count]
        if split_kind(folder) != split and not set(_words(folder)) <= _FILLERS:
            if not any(_KIND_OF.get(word) == split for word in _words(folder)):
                break
        count += 1
    return count


def _check_empty(folders, full, where, depth, found, path) -> None:
    """Raises ValueError where a class folder holds no image: its class would be missing."""
    tops = set(where.values())
    for folder in sorted(folders - full):
        known = depth == 1 or folder[0] in tops
        if len(folder) == depth and known and not any(split_kind(f) == 'unlabeled' for f in folder):
            raise ValueError(f'The class folder {"/".join(folder)!r} in {path!r} holds no image: fill or remove it.')


def _seen(names) -> str:
    """What the folders hold, for messages: 'train: 20 images in 2 folders, test1: 10 images'."""
    images, inner = collections.Counter(), collections.defaultdict(set)
    for name in names:
        images[name[0] if len(name) > 1 else ''] += 1
        inner[name[0]].update(name[1:2] if len(name) > 2 else ())
    parts = []
    for folder in sorted(images):
        number = f'{images[folder]} image{"s" * (images[folder] > 1)}'
        within = inner[folder]
        parts.append(f'{folder or "in no folder"}: {number}' + (f' in {_listed(sorted(within))}' if within else ''))
    more = f' and {len(parts) - _SHOWN} more folders' if len(parts) > _SHOWN else ''
    return 'found ' + '; '.join(parts[:_SHOWN]) + more


def _listed(names) -> str:
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(map(str, names[:_SHOWN])) + more

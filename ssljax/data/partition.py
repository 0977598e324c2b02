"""Label budgets: which training rows are labelled, unlabelled and for validation."""

import contextlib
import hashlib
import json
import os
import re
from typing import NamedTuple

import numpy as np
from absl import logging

from ssljax.data import pick, strata
from ssljax.storage.files import write_npz
from ssljax.text.wording import shown

# First part of the key of each seeded order, so that no two uses share one.
_LABELS, _VAL, _TEST, _POOL = 1, 2, 3, 4
ROUNDS = 10  # passes over all groups, at most, to choose some of them


class Partition(NamedTuple):
    """Three disjoint sets of rows, together the whole training split or, with a `pool`, less; int64 [n], sorted."""

    labeled: np.ndarray
    unlabeled: np.ndarray
    val: np.ndarray


def permutation(n, *key):
    """Seeded order of 0..n-1, int64 [n]; the same under every version of NumPy.

    Only the raw bits of Philox are promised to stay the same between versions, so it sorts those.
    """
    return np.argsort(np.random.Philox(np.random.SeedSequence(key)).random_raw(n), kind='stable')


def partition(labels, num_classes, *, budget, val, seed, classes=(), names=None, around='', represent=None, pool=0,
              groups=None, copied=None, sets=None):  # fmt: skip
    """Splits training rows into labelled, unlabelled and validation rows.

    Both amounts are written '1000' (images in total), '10/class', '1%' (of the rows that have a label) or
    'all'; `val` may also be '0' or '' for none, and cannot be 'all'. Validation is taken first, in an order
    of its own that does not depend on the budget, and it leaves every class at least one image. A total is
    stratified: item i of class c in a seeded order has rank i / n_c, and a budget is a prefix of the rows
    sorted by rank. So a larger budget contains a smaller one, classes keep their shares, and every class is
    there as soon as the budget is no smaller than the number of classes. For multi-label images (`sets`) the classes
    keep their shares by iterative stratification (strata.py), and '10/class' are 10 images for each class, in total.

    Args:
      labels: int32 [N] in [-1, num_classes), or rows of `sets`; rows with -1 are always unlabelled.
      num_classes: number of classes.
      budget: amount of labelled rows; 'all' is all that validation leaves. Or 'list:PATH', a file that names them
        (pick.listed), which validation then leaves out.
      val: amount of validation rows.
      seed: non-negative int.
      classes: names of the classes, used in messages.
      names: names of the images, for a list, and `around`, the path of the folder or archive that they are in.
      represent: chooses labelled rows in place of the seeded order, as in `choose`; budgets are then not nested. A
        total is then chosen without looking at labels (except those of validation, which is stratified); a count per
        class reads the class of every row.
      pool: how many of the other rows, at random, are the unlabelled ones; 0: all.
      groups: int64 [N], as a Split has them, or None. Validation takes whole groups, of which no other image is used.
      copied: bool [N], images of which there are copies, or None. Validation has none of them if it can do without: all
        stay on one side.
      sets: for multi-label images, uint8 [S, num_classes], as in ssljax.targets.

    Returns:
      Partition. The unlabelled rows do not contain the labelled ones: a method that needs both joins them.

    Raises:
      ValueError: an amount is misspelt, smaller than one image, or larger than what is there; a list that names what
        is not there.
      FileNotFoundError: there is no such list.
    """
    labels, kinds = np.asarray(labels), num_classes if sets is None else len(sets)
    if labels.ndim != 1 or (len(labels) and not -1 <= labels.min() <= labels.max() < kinds):
        raise ValueError(
            f'labels must be [N] with values from -1 to {kinds - 1}, got shape {labels.shape}'
            + (f' with values {labels.min()} to {labels.max()}.' if labels.size else '.')
        )
    if seed < 0:
        raise ValueError(f'The seed must not be negative, got {seed}.')
    known = np.flatnonzero(labels >= 0)
    kind, _, path = str(budget).partition(':')
    listed = pick.listed(path, names, labels, around) if kind == 'list' else np.zeros(0, np.int64)
    free = np.setdiff1d(known, listed)
    able = free if groups is None else free[~np.isin(groups[free], groups[listed][groups[listed] >= 0])]
    val_rows = _held_out(
        labels, able, val, copied, name='config.data.val', key=(seed, _VAL), classes=classes, optional=True,
        groups=groups, sets=sets,
    )  # fmt: skip
    rest = np.setdiff1d(free, val_rows, assume_unique=True)
    labeled = listed
    if kind != 'list':
        labeled = choose(
            labels, rest, budget, name='config.data.labels', key=(seed, _LABELS), classes=classes, of=len(known),
            represent=represent, sets=sets,
        )  # fmt: skip
    unlabeled = np.setdiff1d(np.arange(len(labels)), np.concatenate([val_rows, labeled]))
    if groups is not None:
        unlabeled = unlabeled[~np.isin(groups[unlabeled], groups[val_rows][groups[val_rows] >= 0])]
    if not 0 <= pool <= len(unlabeled):
        raise ValueError(
            f'config.data.pool={pool}, but only {len(unlabeled)} images are neither labelled nor for validation: give '
            'at most that many, or 0 for all.'
        )
    if pool:
        unlabeled = np.sort(unlabeled[permutation(len(unlabeled), seed, _POOL)[:pool]])
    for title, field, asked, rows in (('labelled', 'labels', budget, labeled), ('validation', 'val', val, val_rows)):
        missing = num_classes - int((_counts(labels, rows, num_classes, sets) > 0).sum())
        if missing and len(rows):
            logging.warning('The %d %s images of config.data.%s=%r lack %d of the %d classes.', len(rows), title, field,
                            asked, missing, num_classes)  # fmt: skip
    return Partition(labeled, unlabeled, val_rows)


def _counts(labels, rows, classes: int, sets):
    """[K]: how many of `rows` have each class; all of them have a label."""
    if sets is not None:
        return sets[labels[rows]].sum(0, dtype=np.int64)
    return np.bincount(labels[rows], minlength=classes)


def carve_test(labels, amount, classes=(), groups=None, copied=None, sets=None):
    """Rows of a test split for a source that has none: stratified, with a fixed seed, whole groups, and no image
    that is `copied`; int64 [n], sorted."""
    labels = np.asarray(labels)
    return _held_out(
        labels,
        np.flatnonzero(labels >= 0),
        amount,
        copied,
        name='config.data.test',
        key=(0, _TEST),
        classes=classes,
        leave=1,
        groups=groups,
        sets=sets,
    )


def _held_out(labels, rows, amount, copied, *, name, **how):
    """As `choose`, from the rows that are not `copied` (bool [N], or None) if there are enough of them."""
    if copied is None or not copied[rows].any():
        return choose(labels, rows, amount, name=name, **how)
    able = rows[~copied[rows]]
    if np.array_equal(*(_counts(labels, some, 0, how['sets']).nonzero()[0] for some in (able, rows))):
        with contextlib.suppress(ValueError):
            return choose(labels, able, amount, name=name, of=len(rows), **how)
    found = choose(labels, rows, amount, name=name, **how)
    logging.warning(
        '%s=%s: so many images have copies that some of those set aside are copies of training images.', name, amount
    )
    return found


def choose(labels, rows, amount, *, name, key, classes=(), of=None, optional=False, leave=None, represent=None,
           groups=None, sets=None):  # fmt: skip
    """Chooses `amount` of `rows`, stratified by label.

    Args:
      labels: int32 [N].
      rows: int64 [n], the rows to choose from; all have a label.
      amount: '1000', '10/class', '1%' or 'all'.
      name: the config field that gave `amount`, for messages.
      key: ints that seed the order.
      classes: names of the classes, for messages.
      of: what a percentage is taken of; by default, the number of rows.
      optional: whether '0' and '' mean none, and 'all' is refused.
      leave: images that every class keeps; by default 1 if `optional`, else 0.
      represent: (rows int64 [n], count) -> int64 [count], those of them that represent all. A total is then chosen
        without looking at the labels, so the classes' shares are not kept.
      groups: int64 [N], or None; whole groups of `rows` are chosen, with a number of images and classes near the
        amount.
      sets: as for `partition`.

    Returns:
      int64 [m], sorted.

    Raises:
      ValueError: as `partition`.
    """
    leave = int(optional) if leave is None else leave
    amount = str(amount).strip()
    if optional and amount in ('', '0'):
        return np.zeros(0, np.int64)
    if amount == 'all' and not leave:
        return np.sort(rows)
    kind = re.fullmatch(r'(\d+(?:\.\d+)?)%|(\d+)/class|(\d+)', amount)
    if not kind:
        allowed = "'1000' (images), '10/class' or '1%'" + (", or '0' for none" if optional else '')
        raise ValueError(
            f'{name}={shown(amount)} is not an amount: write it as {allowed}' + ('.' if leave else ", or 'all'.")
        )
    percent, per_class, total = kind.groups()
    if sets is not None:
        return _choose_of_sets(labels, rows, kind, name, key, of, leave, represent, groups, sets)
    own = labels[rows]
    by_class = np.argsort(own, kind='stable')
    each = np.split(rows[by_class], np.searchsorted(own[by_class], np.arange(1, own.max(initial=-1) + 1)))
    each = each if len(rows) else []
    each = [r[permutation(len(r), *key, c)] for c, r in enumerate(each)]

    shares = np.array([len(r) for r in each], float)
    if per_class:
        if int(per_class) < 1:
            raise ValueError(f'{name}={shown(amount)} asks for no images: ask for at least 1/class.')
        if not rows.size:
            raise ValueError(f'{name}={shown(amount)}, but there is no image with a label to choose from.')
        for c, r in enumerate(each):
            if len(r) - leave < int(per_class):
                title = repr(classes[c]) if c < len(classes) else c
                if not (labels == c).any():
                    raise ValueError(
                        f'{name}={amount!r}, but no training image has the class {title}, label {c}: labels run from 0 '
                        f'without gaps, here up to {labels.max()}. Renumber them, or add images of that class.'
                    )
                raise ValueError(
                    f'{name}={shown(amount)}, but class {title} has {len(r)} images to choose from'
                    + (f' and must keep {leave}' if leave else '')
                    + ': ask for fewer.'
                )
        if groups is not None:
            wanted = np.minimum(shares, int(per_class))
            return by_group(_one_hot(labels, rows), rows, groups, wanted, f'{name}={amount!r}', key, leave)
        take = represent or (lambda r, count: r[:count])
        return np.sort(np.concatenate([take(r, int(per_class)) for r in each]))

    whole = len(rows) if of is None else of
    count = int(total) if total else int(float(percent) / 100 * whole + 0.5)
    if count < 1:
        raise ValueError(
            f'{name}={shown(amount)}'
            + (f' of {whole} images' if percent else '')
            + ' is less than one image: ask for at least 1.'
        )
    rank = np.concatenate([np.arange(len(r)) / max(len(r), 1) for r in each] or [[]])
    owner = np.repeat(np.arange(len(each)), [len(r) for r in each])
    tie = permutation(len(each), *key, len(each), 0)
    order = np.lexsort((tie[owner], rank))
    if leave:
        last = np.concatenate([np.arange(len(r)) >= len(r) - leave for r in each] or [np.zeros(0, bool)])
        order = order[~last[order]]
    if count > len(order):
        asked = f' ({count} images)' if percent else ''
        rest = 'ask for fewer' if leave else "ask for fewer, or 'all'"
        raise ValueError(
            f'{name}={shown(amount)}{asked}, but only {len(order)} images with a label are left to choose from: {rest}.'
        )
    if groups is not None:
        wanted = shares * count / len(rows)
        return by_group(_one_hot(labels, rows), rows, groups, wanted, f'{name}={amount!r}', key, leave)
    return np.sort(represent(rows, count) if represent else np.concatenate(each)[order[:count]])


def _one_hot(labels, rows):
    return labels[rows][:, None] == np.arange(labels[rows].max(initial=-1) + 1)


def _choose_of_sets(labels, rows, kind, name, key, of, leave, represent, groups, sets):
    """`choose` for multi-label images; kind: the match of the amount."""
    percent, per_class, total = kind.groups()
    amount, whole, hot = kind[0], len(rows) if of is None else of, sets[labels[rows]] > 0
    count = int(total) if total else int(per_class) * sets.shape[1] if per_class else int(
        float(percent) / 100 * whole + 0.5)  # fmt: skip
    if count < 1:
        raise ValueError(f'{name}={shown(amount)} of {whole} images is less than one image: ask for at least 1.')
    if represent and count <= len(rows):
        return np.sort(represent(rows, count))
    if groups is not None and count <= len(rows):
        kinds = np.concatenate([hot, np.ones((len(rows), 1), bool)], axis=1)  # the last counts the images
        wanted = kinds.sum(0) * count / len(rows)
        return by_group(kinds, rows, groups, wanted, f'{name}={amount!r}', key, leave, count)
    found = strata.first(hot, permutation(len(rows), *key, 0), count, leave)
    if len(found) < count:
        said = f' ({count} images)' if percent or per_class else ''
        kept = f', since every class keeps {leave}' if leave else ''
        raise ValueError(
            f'{name}={shown(amount)}{said}, but only {len(found)} images with a label can be chosen{kept}: ask for '
            f'fewer{"" if leave else ", or all"}.'
        )
    return np.sort(rows[found])


def by_group(hot, rows, groups, wanted, asked: str, key, leave: int, count: int = 0):
    """Chooses whole groups of `rows` whose class counts come near to those wanted.

    In a seeded order each group is taken, or put back, if that brings the chosen images nearer, by the chi-squared
    distance, the sum over classes of (wanted - chosen)^2 / wanted, plus the same for the total; and so on until none
    does. Scikit-learn's StratifiedGroupKFold only has folds of equal size, and promises no order between versions.

    Args:
      hot: [n, C] bool, the classes of each of `rows`.
      rows, groups: as for `choose`.
      wanted: [C], images of each class.
      asked: what asks for it, for messages.
      key: ints that seed the order.
      leave: images that every class keeps.
      count: how many images are wanted, if that is not the sum of `wanted`.

    Returns:
      int64 [m], sorted.

    Raises:
      ValueError: no group can be taken without leaving a class too few.
    """
    ids = groups[rows].copy()
    alone = ids < 0
    ids[alone] = ids.max(initial=-1) + 1 + np.arange(alone.sum())
    units, unit_of = np.unique(ids, return_inverse=True)
    has = np.zeros((len(units), len(wanted)))
    np.add.at(has, unit_of, hot)
    weight = 1 / np.maximum(wanted, 1e-9) * (wanted > 0)
    left, taken, chosen, total = has.sum(0), np.zeros(len(wanted)), np.zeros(len(units), bool), wanted.sum()

    def distance(x):
        return ((wanted - x) ** 2 * weight).sum() + (total - x.sum()) ** 2 / total

    order = permutation(len(units), *key, len(wanted), 1)
    able = [u for u in order if np.all((left - has[u] >= leave) | (has[u] == 0))]
    for _ in range(ROUNDS):
        before = chosen.copy()
        for u in able:
            change = -has[u] if chosen[u] else has[u]
            nearer = distance(taken + change) < distance(taken)
            if nearer and (chosen[u] or np.all((left - change >= leave) | (change == 0))):
                chosen[u], taken, left = not chosen[u], taken + change, left - change
        if (chosen == before).all():
            break
    if not chosen.any() and able:  # all are larger than wanted
        chosen[min(able, key=lambda u: has[u].sum())] = True
    if not chosen.any():
        raise ValueError(
            f'{asked}: none of the {len(units)} groups of images can be set aside without taking all images of a '
            'class: every class needs at least two groups. Remove the groups, or provide the splits.'
        )
    found = np.sort(rows[chosen[unit_of]])
    count = count or total
    if abs(len(found) - count) > max(0.25 * count, 1):
        logging.warning('%s: groups are kept together, so %d images in %d group%s are taken.', asked, len(found),
                        chosen.sum(), '' if chosen.sum() == 1 else 's')  # fmt: skip
    return found


def digest(indices):
    """Hex SHA-256 of an index array, as little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(indices, '<i8').tobytes()).hexdigest()


def save(path, parts, **meta):
    """Writes a partition with the hash of each of its sets to an .npz file, in one step or not at all.

    Args:
      path: file to write; its folder is made if needed.
      parts: Partition.
      **meta: more to keep, such as the source's name and its digest; must be JSON.
    """
    meta = {
        **meta,
        'sha256': {name: digest(rows) for name, rows in parts._asdict().items()},
        'size': {name: len(rows) for name, rows in parts._asdict().items()},
    }
    write_npz(path, {'meta': np.array(json.dumps(meta, sort_keys=True)), **parts._asdict()})


def load(path):
    """Reads what `save` wrote: (Partition, meta).

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the indices do not match their hashes.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f'There is no partition file {path!r}.')
    with np.load(path, allow_pickle=False) as f:
        meta = json.loads(str(f['meta']))
        parts = Partition(*(f[name] for name in Partition._fields))
    for name, rows in parts._asdict().items():
        if digest(rows) != meta['sha256'][name]:
            raise ValueError(f'The {name} indices in {path!r} do not match their hash: the file was changed.')
    return parts, meta

"""What the name of a folder says: which split it is, or that it holds data and is not a class."""

import functools
import re
import unicodedata
from typing import NamedTuple

PLAIN = frozenset('train val valid validation test unlabeled unlabelled'.split())
_KINDS = {
    'train': 'train training trn trainval',
    'val': 'val valid validation validate dev devel development',
    'test': 'test testing tst eval evaluation evaluate holdout',
    'unlabeled': 'unlabeled unlabelled unlabel unsup unsupervised unannotated',
    'labeled': 'labeled labelled annotated',
}
_KIND = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_MORE = (
    'set sets data dataset datasets image images img imgs pic pics picture pictures photo photos sample samples split '
    'splits folder folders dir file files'
).split()
_AROUND = frozenset((*_MORE, *'new final raw full small resized cropped original processed my all part px'.split()))
_ANY = f'(?:{"|".join(_MORE)})?'
_ONE_WORD = re.compile(f'{_ANY}({"|".join(_KIND)}){_ANY}')
_PARTS = frozenset('part batch fold shard chunk'.split())
_HOLDERS = _PARTS | frozenset(
    'set data dataset datasets image images img imgs jpegimages archive subset static assets docs thumbs thumbnails '
    'annotations metadata'.split()
)


class Meaning(NamedTuple):
    """kind: 'train', 'val', 'test', 'unlabeled', 'several' or None. rest: the words that say something else."""

    kind: str | None
    rest: tuple = ()


@functools.cache
def meaning(name):
    """The Meaning of a folder's name: 'Training', 'test_set' or 'train2017' are splits and nothing else; 'cats_train'
    has a rest, ('cats',)."""
    kinds, rest = set(), []
    for word in _words(name):
        found = _ONE_WORD.fullmatch(word)
        if found:
            kinds.add(_KIND[found[1]])
        elif word not in _AROUND and len(word) > 1 and not word.isdecimal():
            rest.append(word)
    if 'unlabeled' in kinds and kinds <= {'unlabeled', 'train', 'labeled'}:
        return Meaning('unlabeled')
    if kinds == {'labeled'}:
        return Meaning('train', tuple(rest))
    kinds.discard('labeled')
    if kinds == {'train', 'val'}:  # all that may be trained on; validation is carved from it
        return Meaning('train', tuple(rest))
    return Meaning('several' if len(kinds) > 1 else kinds.pop() if kinds else None, tuple(rest))


def kind_of(name):
    """The split that a folder's name means and nothing else, or None."""
    found = meaning(name)
    return None if found.rest else found.kind


def is_holder(name):
    """Whether a folder is named as a mere container: 'images', 'dataset_a', 'static', 'HAM_part_2'."""
    words = _words(name)
    if len(words) > 2 and words[-2] in _PARTS and (words[-1].isdecimal() or len(words[-1]) == 1):
        return True
    return any(w in _HOLDERS for w in words) and all(w in _HOLDERS or w.isdecimal() or len(w) == 1 for w in words)


def _words(name):
    name = re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', unicodedata.normalize('NFKC', name))
    name = re.sub(r'\b(hold|held)[\W_]*out', 'holdout', name.lower())
    name = re.sub(r'\bun[\W_]+(?=label|superv|annot)', 'un', name)
    return re.findall(r'[^\W\d_]+|\d+', name)

"""What the name of a file says about its image: config.data.pattern."""

import functools
import os
import re
import unicodedata
from collections import Counter

from absl import logging

from ssljax.data import records, split_names
from ssljax.settings import fields
from ssljax.text.wording import nearest, shown

PARTS = 'label', 'group', 'split'
KNOWN = 'known are label, group and split'
FORMS = "a name such as '{label}.{}.jpg', or a regular expression with a group (?P<label>...)"


def field() -> fields.Field:
    """A pattern, or ''."""

    def fits(v):
        if not isinstance(v, str) or '\0' in v or len(v) > 1000:
            return False
        return not v or bool(compiled(v))

    return fields.Field('', f"{FORMS}, or ''", fits)


@functools.lru_cache
def compiled(text: str) -> re.Pattern:
    """The regular expression of a pattern. {label}, {group} and {split} stand for a part of a name without a slash, as
    long as possible, {} for any such part that says nothing.

    Raises:
      ValueError: it is not a pattern, or no part of it says anything.
    """
    names = re.findall(r'\{([^\W\d]\w*|)\}', text)
    if '(?P<' in text or not any(names):
        found = text
    else:
        for name in filter(None, names):
            if name not in PARTS:
                raise ValueError(f'it has {{{name}}}{nearest(name, PARTS)}; {KNOWN}')
            if names.count(name) > 1:
                raise ValueError(f'it has {{{name}}} twice: write {{}} for the part that says nothing')
        pieces = re.split(r'(\{(?:label|group|split|)\})', text)
        part = lambda name: f'(?P<{name}>[^/]+)' if name else '[^/]*'
        found = ''.join(part(p[1:-1]) if i % 2 else re.escape(p) for i, p in enumerate(pieces))
    try:
        expression = re.compile(found)
    except (re.error, RecursionError, OverflowError) as e:
        raise ValueError(f'it is not a regular expression ({e})') from e
    have = expression.groupindex.keys()
    if not have & {'label', 'group'}:
        raise ValueError(f'it has neither {{label}} nor {{group}}: it must be {FORMS}')
    if unknown := have - set(PARTS):
        raise ValueError(f'it has the group {min(unknown)!r}{nearest(min(unknown), PARTS)}; {KNOWN}')
    if 'split' in have and 'label' not in have:
        raise ValueError('it has {split} without {label}: where folders name the classes, they name the splits, too')
    return expression


def match(text: str, names) -> list:
    """For each name (a path with '/') the match of its end, with as many folders as the pattern has slashes, or None.

    Raises:
      ValueError: no name matches; the message shows some.
    """
    expression, depth = compiled(text), text.count('/') + 1
    ends = ['/'.join(name.split('/')[-depth:]) for name in names]
    found = [expression.fullmatch(end) for end in ends]
    if ends and not any(found):
        begins = any(map(expression.match, ends))
        hint = ': it must match the whole name, so add .* at its end' if begins else f': it must be {FORMS}'
        raise ValueError(
            f'config.data.pattern={shown(text)} matches none of the {len(ends):,} names, which look like '
            f'{", ".join(map(repr, ends[:3]))}{hint}.'
        )
    return found


def records_of(text: str, names, path: str) -> list[records.Record]:
    """A Record of each image of a folder, from its name. The split is the pattern's or, if it has none, that of the
    folders above the image. An image whose name does not match has no label.

    Raises:
      ValueError: no name matches, or one names an unknown split.
    """
    found, out = match(text, names), []
    for number, (name, said) in enumerate(zip(names, found)):
        parts = said.groupdict('') if said else {}
        if written := parts.get('split', ''):
            split = split_names.kind_of(written)
            if split not in ('train', 'val', 'test', 'unlabeled'):
                raise ValueError(
                    f'{path!r}: by config.data.pattern={shown(text)} the image {name!r} is of the split {written!r}, '
                    'which is unknown: it must be train, val, test or unlabeled.'
                )
        else:
            split = next(filter(None, map(split_names.kind_of, name.split('/')[:-1])), 'train')
            split = 'train' if split == 'several' else split
        label = unicodedata.normalize('NFC', parts.get('label', '').strip())
        out.append(records.Record(number, repr(name), label, split, parts.get('group', '')))
    without = [r for r, said in zip(out, found) if not said and r.split != 'unlabeled']
    if without:
        per = ' and '.join(f'{n} {split} images' for split, n in Counter(r.split for r in without).items())
        logging.warning('%r: %s do not match config.data.pattern=%r, such as %s: they have no label.', path, per, text,
                        without[0].where)  # fmt: skip
    return out


def with_groups(text: str, names, splits: dict, path: str) -> dict:
    """The splits that layout.layout returns, with the groups that a pattern without {label} gives, as a third item of
    each."""
    said = [m['group'] if m else '' for m in match(text, names)]
    images = [(said[n], split, repr(names[n])) for split, (numbers, _) in splits.items() for n in numbers]
    records.check_groups(images, path)
    if alone := said.count(''):
        logging.warning('%r: %d images do not match config.data.pattern=%r: each is a group of its own.', path, alone,
                        text)  # fmt: skip
    ids = records.group_ids(said)
    return {split: (numbers, labels, ids[numbers]) for split, (numbers, labels) in splits.items()}


def advice(names) -> str:
    """The pattern by which flat names such as cat.0.jpg say their class, or ''. names: of files, without folders."""
    prefix: dict = {}
    for name in names:
        if found := re.match(r'([^\W\d_][^\W\d]*?)([\W_]*)\d', name):
            prefix[name] = found[1].lower(), found[2]
    counts = Counter(label for label, _ in prefix.values())
    own = {label for label, n in counts.items() if n > 1}
    if not 2 <= len(own) <= max(len(names) // 4, 2):
        return ''
    mark = Counter(mark for _, mark in prefix.values()).most_common(1)[0][0]
    ending = Counter(os.path.splitext(name)[1] for name in names).most_common(1)[0][0]
    simple = [f'{{label}}{mark}{{}}{ending}', f'{{label}}{mark}{{}}'] if mark else []
    for text in (*simple, r'(?P<label>[^\W\d_]+).*'):
        said = [compiled(text).fullmatch(name) for name in prefix if prefix[name][0] in own]
        if {m['label'].lower() if m else '' for m in said} == own:
            return text
    return ''

"""Where images come from: kinds of source by name, in a literal table of modules. What a module declares:

    FORM       how config.data.source names it: 'digits', or with what is given after a colon, 'npz:PATH'
    read       (Asked, config.data) -> (names of the classes, {split: Arrays or Encoded}), with the split train and any
               of val, test and unlabeled, all of one type
    unlabeled  (Asked, config.data) -> Arrays or Encoded, the images if it is config.data.unlabeled; may be left out:
               the split unlabeled of `read`, or else train
    around     (Asked, config.data) -> the folder or archive that the images are in, if they have names
    TAKES      which of OWN, the fields of config.data that only some sources have, it reads

What they raise names what was asked for and what is allowed."""

import difflib

from ssljax.buckets import fetch
from ssljax.data import span as spans
from ssljax.data.sources import annotations, circles, csv, digits, folder, npz, synthetic, tfds
from ssljax.data.sources.asked import Asked, without_labels
from ssljax.data.sources.source import Source, complete
from ssljax.data.sources.splits import further, splits_of
from ssljax.data.split import concat
from ssljax.settings import fields
from ssljax.text import wording

SOURCES = {
    'digits': digits,
    'circles': circles,
    'tfds': tfds,
    'folder': folder,
    'csv': csv,
    'npz': npz,
    'synthetic': synthetic,
}
OWN = {'images': '', 'pattern': '', 'annotations': '', 'multilabel': 'auto'}  # with the value that requests nothing


def load(config) -> Source:
    """Loads config.data.source, in the form of one of SOURCES, and with it config.data.unlabeled.

    A split called unlabeled, unlabelled or unsupervised is the unlabelled set, and config.data.unlabeled, any source,
    whose labels are ignored, adds to it. If there is no test split, the validation split takes its place; if there is
    neither, config.data.test says how much of the training split does, chosen with a fixed seed. Image files are
    decoded here, in parallel, if config.data.path is not 'stream' and they fit a quarter of the free memory; otherwise
    when they are read. Corrupt ones are left out of validation, test and labelled images (readable.py); unlabelled ones
    are left out in the first case and replaced by another in the second (encoded.FileImages). With config.data.cache
    they are decoded into a file there, or taken from it, in either case (cache.py). Validation and test only have
    images with a known label. Values of more than 8 bits per channel become 0 to 255 by one range for the whole data
    set, config.data.range (span.py). config.data.annotations moves unlabelled images to the training images when the
    test split is made, which therefore does not change with it.

    Args:
      config: config.data, checked (checks.py).

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: the source is not known, or its content is not as it should be.
      ImportError: a source of TensorFlow Datasets without TensorFlow.
      OSError: the disk of config.data.cache is full.
    """
    spans.parsed(config.range)
    asked, module = _asked('source', config.source)
    check_own(config, asked, module)
    classes, found = module.read(asked, config)
    if not len(found['train'].labels):
        raise ValueError(f'{asked} has no training images.')
    sets = found['train'].sets
    splits = splits_of(found, config, asked)
    span = getattr(splits['train'].images, 'span', 'full' if config.range == 'full' else None)
    if config.range not in ('auto', 'full') and span is None:
        raise ValueError(
            f'config.data.range={wording.shown(config.range)} does not go with {wording.shown(config.source)}: '
            "leave it at 'auto'."
        )
    if config.unlabeled:
        extra = _extra(config, span)
        splits['unlabeled'] = concat([splits['unlabeled'], extra]) if 'unlabeled' in splits else extra
    source = complete(config.source, tuple(classes), splits, span, config.test, config.copies, sets)
    return annotations.apply(source, config.annotations, around(config)) if config.annotations else source


def check_own(config, asked, module) -> None:
    """Raises ValueError if a field of OWN is set that the source does not read."""
    for name in OWN:
        if config[name] != OWN[name] and name not in getattr(module, 'TAKES', ()):
            able = ' or '.join(repr(m.FORM) for m in SOURCES.values() if name in getattr(m, 'TAKES', ()))
            raise ValueError(
                f'config.data.{name}={config[name]!r} does not go with {asked}, only with {able}: leave '
                f'it at {OWN[name]!r}.'
            )


def around(config) -> str:
    """The folder or archive that the images of config.data.source are in; '' if they are not files."""
    asked, module = _asked('source', config.source)
    return module.around(asked, config) if hasattr(module, 'around') else ''


def listed(config) -> tuple:
    """What a source has, before anything is decoded: (classes, {split: Arrays or Encoded}), as its `read` gives them,
    with those of config.data.unlabeled as the split 'further'. Raises as `load`."""
    asked, module = _asked('source', config.source)
    classes, found = module.read(asked, config)
    if config.unlabeled:
        further_asked, of = _asked('unlabeled', config.unlabeled)
        found = dict(found) | {'further': _unlabelled(further_asked, of, config)}
    return tuple(classes), found


def field(default: str = '', empty: bool = False) -> fields.Field:
    """A config field for a source of one of the kinds of SOURCES; with `empty` also ''."""

    def fits(v):
        if not isinstance(v, str) or '\0' in v:
            return False
        if reason := '' if empty and not v else _wrong(v):
            raise ValueError(reason)
        return True

    return fields.Field(default, f'a source, {forms()}' + ", or ''" * empty, fits)


def forms() -> str:
    """ "'digits', ... or 'synthetic:HxWxC:K'"."""
    *most, last = (repr(module.FORM) for module in SOURCES.values())
    return f'{", ".join(most)} or {last}'


def _wrong(text: str) -> str:
    """Why a text names no source; '' if it names one."""
    kind, _, rest = text.partition(':')
    if kind not in SOURCES:
        near = difflib.get_close_matches(kind, SOURCES, 1)
        return 'unknown source' + (f' (did you mean {near[0]!r}?)' if near else '') + f': use {forms()}'
    if ':' in SOURCES[kind].FORM and not rest:
        return f'{kind!r} needs more after the colon: use {SOURCES[kind].FORM!r}'
    if ':' not in SOURCES[kind].FORM and ':' in text:
        return f'{kind!r} takes no argument'
    return ''


def _asked(name: str, text: str):
    """(Asked, the module of its kind)."""
    if reason := _wrong(text):
        raise ValueError(f'config.data.{name}={text!r}: {reason}.')
    kind, _, rest = text.partition(':')
    if kind != 'tfds':
        rest = fetch.archive(rest, f'config.data.{name}={text!r}')
    return Asked(name, text, rest), SOURCES[kind]


def _extra(config, span):
    """The Split of config.data.unlabeled; span: of the training images."""
    asked, module = _asked('unlabeled', config.unlabeled)
    found = _unlabelled(asked, module, config)
    if not len(found.labels):
        raise ValueError(f'{asked} has no images.')
    return further(without_labels(found), config, asked, span)


def _unlabelled(asked, module, config):
    """The Arrays or Encoded of config.data.unlabeled."""
    if hasattr(module, 'unlabeled'):
        return module.unlabeled(asked, config)
    _, splits = module.read(asked, config)
    return splits.get('unlabeled', splits['train'])

"""How our weights and those of another library correspond, tensor by tensor, in both directions."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np


class Link(NamedTuple):
    """Tensors of ours that another library keeps as `theirs`.

    ours: paths such as 'params/backbone/stem/block/conv/kernel'. give: their arrays -> those of `theirs`. take: (arrays
    of `theirs`, the shapes of `ours`) -> those of `ours`. Each gets and returns a tuple. optional: `theirs` may be
    missing.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    give: Callable
    take: Callable
    optional: bool = False


class Layout(NamedTuple):
    """How a library keeps a backbone of ours with a linear classifier on its last layer.

    library: its name. head: the classifier's. make: ({path of ours: shape}, config.backbone with all options decided,
    (H, W, C)) -> Links. misfit: (config.backbone, shape) -> why their network cannot be ours, '' where it can. code:
    the same and the number of classes, 0 without a classifier -> lines of PyTorch that make the network `net`.
    differences: (config.backbone, shape) -> how our network differs from their standard one, in words.
    """

    library: str
    head: str
    make: Callable
    misfit: Callable
    code: Callable
    differences: Callable


class Mismatch(ValueError):
    """Weights need another option of the backbone, such as Mismatch('positions=learnt', why)."""

    def __init__(self, option: str, why: str):
        super().__init__(f'{why}: set --config.backbone.{option}')


def same(ours: str, theirs: str) -> Link:
    """The same tensor, or one that differs by axes of size 1."""
    return Link((ours,), (theirs,), lambda a: a, lambda a, shapes: (np.reshape(a[0], shapes[0]),))


def kernel(ours: str, theirs: str, ndim: int) -> Link:
    """The kernel of a convolution, [h, w, in, out] <-> [out, in, h, w], or of a dense layer, [in, out] <-> its
    transpose."""
    there, back = ((3, 2, 0, 1), (2, 3, 1, 0)) if ndim == 4 else ((1, 0), (1, 0))
    return Link((ours,), (theirs,), lambda a: (a[0].transpose(there),), lambda a, shapes: (a[0].transpose(back),))


def counter(theirs: str) -> Link:
    """PyTorch's number of batches that a BatchNorm has seen; ours has none."""
    return Link((), (theirs,), lambda a: (np.zeros((), np.int64),), lambda a, shapes: (), True)


def by_rules(rules: dict) -> Callable:
    """The `make` of a Layout whose layers differ from ours only by their names (`pattern`) and the order of axes."""
    return lambda paths, config, shape: renamed(paths, pattern(rules))


def of_size(**usual: int) -> Callable:
    """The `misfit` of a Layout whose network can be ours with these fields of config.backbone."""

    def misfit(config, shape) -> str:
        return ' and '.join(f'{field}={config[field]}' for field, value in usual.items() if config[field] != value)

    return misfit


def renamed(paths: dict, rename: Callable) -> list[Link]:
    """The Links of layers that differ by their names and the order of axes.

    Args:
      paths: {path: shape} of our tensors.
      rename: (path of a layer, such as 'backbone/stem/block/conv') -> the other library's name, '' where it has none.
    """
    found = []
    for path, shape in paths.items():
        collection, layer, leaf = re.fullmatch(r'(\w+)/(.*)/(\w+)', path).groups()  # type: ignore[union-attr]
        name = rename(layer)
        if not name:
            continue
        if leaf == 'kernel':
            found.append(kernel(path, f'{name}.weight', len(shape)))
        elif leaf in LEAVES:
            found.append(same(path, f'{name}.{LEAVES[leaf]}'))
            found += [counter(f'{name}.num_batches_tracked')] * (leaf == 'mean')
    return found


LEAVES = {'scale': 'weight', 'bias': 'bias', 'mean': 'running_mean', 'var': 'running_var'}


def pattern(rules: dict) -> Callable:
    """The `rename` of a table {regex of a whole path: name, or function of the match}."""

    def rename(layer: str) -> str:
        for regex, name in rules.items():
            if match := re.fullmatch(regex, layer):
                return name(match) if callable(name) else match.expand(name)
        return ''

    return rename


def give(links: Iterable[Link], tensors: dict) -> dict:
    """{name of theirs: array} of {path of ours: array}."""
    found: dict = {}
    for link in links:
        found |= zip(link.theirs, link.give(tuple(np.asarray(tensors[p]) for p in link.ours)))
    return {name: np.asarray(a, order='C') for name, a in found.items()}


def take(links: Iterable[Link], tensors: dict, shapes: dict) -> dict:
    """{path of ours: float32 array} of {name of theirs: array}.

    Args:
      links: whose `theirs` are all in `tensors`, except optional ones.
      tensors: of the other library.
      shapes: {path of ours: shape}.

    Raises:
      ValueError: a tensor has another shape than ours, or the weights need another option.
    """
    found: dict = {}
    for link in links:
        if link.optional:
            continue
        wanted = [shapes[p] for p in link.ours]
        try:
            arrays = link.take(tuple(np.asarray(tensors[n], np.float32) for n in link.theirs), wanted)
        except Mismatch:
            raise
        except ValueError:
            arrays = ()
        if [np.shape(a) for a in arrays] != [tuple(s) for s in wanted]:
            have = ', '.join(f'{n} {list(np.shape(tensors[n]))}' for n in link.theirs)
            need = ', '.join(f'{p.split("/", 2)[-1]} {list(s)}' for p, s in zip(link.ours, wanted))
            raise ValueError(f'{have} does not fit {need}')
        found |= {p: np.ascontiguousarray(a, np.float32) for p, a in zip(link.ours, arrays)}
    return found

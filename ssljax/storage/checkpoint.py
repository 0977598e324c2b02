"""Checkpoints: separate Orbax items, so that a backbone can be read without knowing the optimiser.

A stage's directory holds `checkpoints/STEP` while it trains (items params, state, ema, opt, progress, meta) and
`model/0` when it has ended (items params, state, meta: the weights that the stage chose). Beside the items lie their
checksums; a checkpoint that does not match is not used, and a stage in training falls back to the previous one.
"""

import contextlib
import errno
import functools
import sys
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from ssljax.buckets import fetch, mirror
from ssljax.devices.sharding import fetch as gathered
from ssljax.devices.sharding import from_first, put
from ssljax.processes import hosts, preempt
from ssljax.storage import checksums, files, held, paths
from ssljax.storage.disk import DiskError, check_space, disk_errors, explained

ITEMS = ('params', 'state', 'ema', 'opt', 'progress', 'best')


def open_manager(directory, keep: int = 2, write: bool = True, background: bool = False) -> ocp.CheckpointManager:
    """A manager of `directory` that keeps the newest `keep` steps. One that does not `write` leaves the directory,
    where another run may be at work, as it is, and belongs to this process alone; one that writes belongs to all
    processes, or, if not all see the directory, to the first. What is saved in the `background` is complete after
    `Saver.settle`."""
    own = hosts.here() if not write or held.private(directory) else None
    alone = ocp.options.MultiprocessingOptions(
        primary_host=own.index, active_processes={own.index}, barrier_sync_key_prefix=f'of{own.index}'
    ) if own else ocp.options.MultiprocessingOptions()  # fmt: skip
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=background, cleanup_tmp_directories=write, read_only=not write,
        create=write and not own, multiprocessing_options=alone,
    )  # fmt: skip
    handlers = {item: ocp.StandardCheckpointHandler() for item in ITEMS} | {'meta': ocp.JsonCheckpointHandler()}
    with quiet(), disk_errors(directory):
        if write:
            Path(directory).mkdir(parents=True, exist_ok=True)  # Orbax refuses to do it for one of several processes
        return ocp.CheckpointManager(Path(directory).absolute(), options=options, item_handlers=handlers)


def write(directory, items: dict, meta: dict) -> None:
    """Writes the non-empty trees of `items` and `meta` as the step 0 of `directory`.

    Raises:
      OSError: no space is left, or the directory is gone; what was there before is untouched.
    """
    saver = Saver(directory, background=False)
    saver.save(0, items, meta, wait=True)
    saver.close()
    hosts.barrier()


def _to_save(items: dict, meta: dict):
    """The arguments for Orbax; trees without a leaf are left out."""
    trees = {k: ocp.args.StandardSave(v) for k, v in items.items() if jax.tree.leaves(v)}
    return ocp.args.Composite(meta=ocp.args.JsonSave(meta), **trees)


def _check_place(directory: Path, items: dict) -> None:
    """Raises OSError if the trees of `items` cannot be written."""
    held.check(directory)
    if not directory.parent.is_dir():
        raise DiskError(errno.ENOENT, f'{directory.parent} was deleted during training: run the same command again.')
    check_space(directory, 2**20 + sum(a.nbytes for a in jax.tree.leaves(items)))


class Saver:
    """Checkpoints of a stage that goes on training while they are written: `save` returns once the values are copied.

    Errors of the thread that writes one are raised at the next `save` or at `close`.
    """

    def __init__(self, directory, keep: int = 2, background: bool = True):
        self.place = Path(directory).absolute()
        self.alone = held.private(self.place)  # the first process writes for all
        self.background = background
        idle = self.alone and not hosts.first()
        self.manager: Any = None if idle else open_manager(self.place, keep, True, background)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, step: int, items: dict, meta: dict, wait: bool = False) -> None:
        """Writes the non-empty trees of `items` and `meta` under `step`. That is complete, with its checksums, when
        this returns only if it is to `wait`; previous ones are kept until then.

        Raises:
          OSError: no space is left, or the directory is gone; what was there before is untouched.
        """
        self.settle()
        if hosts.told(lambda: self.manager.latest_step()) == step:
            return
        hosts.told(_check_place, self.place, items)
        items = jax.tree.map(np.array, gathered(items)) if self.alone else {k: _apart(v) for k, v in items.items()}
        if self.manager is None:
            return
        with held.disk_errors_in(self.place), preempt.hold(), failing_quietly():
            self.manager.save(step, args=_to_save(items, meta), force=True)
        self._thread = threading.Thread(target=self._finish, args=(self.place / str(step),), daemon=True)
        self._thread.start()
        if wait:
            self.settle()

    def _finish(self, place: Path) -> None:
        try:
            with preempt.hold(), failing_quietly():
                self.manager.wait_until_finished()
                if hosts.first():
                    checksums.write(place)
                    if self.background:  # otherwise it is a part of something larger
                        mirror.changed(place)
        except BaseException as e:  # of a thread: raised by `settle`
            self._error = e

    def settle(self) -> None:
        """Waits until what was saved is complete."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error is not None:
            with held.disk_errors_in(self.place):
                raise error

    def close(self) -> None:
        """Waits for the last save, and lets go of the directory."""
        self.settle()
        if self.manager:
            self.manager.close()


def _apart(tree):
    """A copy of what lies in the memory of the CPU, where a training step may overwrite it while it is saved; other
    devices' arrays are copied to the host in any case."""
    on_cpu = lambda leaf: isinstance(leaf, jax.Array) and next(iter(leaf.devices())).platform == 'cpu'
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True) if on_cpu(leaf) else leaf, tree)


def resume(directory, like: dict, keep: int = 2) -> tuple:
    """(Saver of `directory`, trees and meta of its newest checkpoint that is whole, or `like` and {}).

    Damaged ones are set aside, with a warning.

    Args:
      directory: path; made if it is missing.
      like: as for `restore`.
      keep: how many checkpoints the Saver keeps.

    Raises:
      ValueError: a checkpoint is as it was written, but does not fit `like`.
      OSError: the disk refuses.
    """
    directory = Path(directory)
    while True:
        step = newest(directory)
        saver = Saver(directory, keep)
        if step is None:
            return saver, like, {}
        try:
            if saver.alone:
                return saver, *_sent(functools.partial(restore, saver.manager, step), like)
            return saver, *hosts.each(functools.partial(restore, saver.manager, step, like))
        except files.Damaged as e:
            saver.close()
            files.set_aside(directory / str(step), e.why)


def _sent(read, like: dict) -> tuple[dict, dict]:
    """What read(shapes) returns in the first process, trees and meta, sent to all, on the devices as in `like`."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), like)
    trees, meta = _from_first(lambda: read(shapes))
    return put(trees, jax.tree.map(lambda a: a.sharding, like)), meta


def _from_first(read) -> tuple:
    """What read() returns in the first process, (a tree of arrays, what can be pickled), as numpy arrays in all."""
    kept = []

    def look():
        tree, meta = read()
        kept.append(jax.tree.map(np.asarray, tree))
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), kept[0]), meta

    shapes, meta = hosts.told(look)
    return from_first(kept[0] if kept else jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)), meta


def load_stage(directory) -> dict:
    """The variables of a finished stage of this run, in all its processes; arguments and errors as `load_variables`."""
    read = functools.partial(load_variables, directory)
    return (_from_first(read) if held.private(directory) else hosts.each(read))[0]


@hosts.by_first
def newest(directory: Path) -> int | None:
    """The last step under `directory` whose files are as they were written, or None; damaged ones are set aside."""
    if directory.exists() and not directory.is_dir():
        files.set_aside(directory, 'it is not a directory')
    for step in sorted((int(p.name) for p in directory.glob('*') if p.name.isdigit()), reverse=True):
        try:
            checksums.verify(directory / str(step))
            return step
        except files.Damaged as e:
            files.set_aside(directory / str(step), e)
    return None


@contextlib.contextmanager
def reading(directory, verify: bool = True):
    """Says what is wrong if Orbax cannot read `directory`, for which it has errors of every kind. `verify` first reads
    all of it, to compare its checksums."""
    known = verify and hosts.first() and checksums.verify(directory)  # read once, not by every process
    try:
        with quiet():
            yield
    except Exception as e:
        if isinstance(e, MemoryError):
            raise
        found = explained(e, directory)
        if found and found.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            raise found from e
        text = f'{type(e).__name__}: {str(e).splitlines()[0][:200] if str(e) else ""}'
        if known:
            raise ValueError(
                f'{directory} is intact but does not fit this run ({text}): it was written by another version of '
                'this code or its libraries. Use that version, or delete the directory to retrain the stage.'
            ) from e
        raise files.Damaged(directory, text) from e


def restore(manager, step: int, like: dict) -> tuple[dict, dict]:
    """Reads the trees of `like` (arrays or shapes with shardings) from `step`, and its meta; empty trees are taken from
    `like`.

    Raises:
      files.Damaged: it cannot be read.
    """
    wanted = {k: v for k, v in like.items() if jax.tree.leaves(v)}
    abstract = {
        k: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, v)) for k, v in wanted.items()
    }
    with reading(Path(manager.directory) / str(step)):
        found = dict(manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore(), **abstract)))
    meta = found.pop('meta')
    return like | found, meta if isinstance(meta, dict) else {}


def load_variables(path) -> tuple[dict, dict]:
    """The variables and the meta of a trained stage, as host arrays, wherever they were trained.

    Args:
      path: a stage's directory, its `model` or `checkpoints`, or a run's directory (its first seed's pretraining).

    Raises:
      FileNotFoundError: nothing of the kind is there; the message says what is.
      files.Damaged: it is not as it was written.
    """
    cpu = jax.sharding.SingleDeviceSharding(jax.local_devices(backend='cpu')[0])
    place, step = _place(path)
    trees = {}
    with reading(place / str(step)):
        manager = open_manager(place, write=False)
        for item, shapes in _shapes(manager, place, step).items():
            trees[item] = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=cpu), shapes)
        args = {k: ocp.args.StandardRestore(v) for k, v in trees.items()}
        got = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore(), **args))
        host = jax.tree.map(np.asarray, {'params': got['params'], **(got['state'] if 'state' in trees else {})})
        manager.close()
        return host, _of_stage(got['meta'])


def load_shapes(path) -> dict:
    """The variables of `load_variables` as shapes; no weight is read. Arguments and errors as there."""
    place, step = _place(path)
    with reading(place / str(step), verify=False):
        manager = open_manager(place, write=False)
        found = _shapes(manager, place, step)
        manager.close()
        return {'params': found['params'], **found.get('state', {})}


def load_meta(path) -> dict:
    """The meta of `load_variables`; no weight is read. Arguments and errors as there."""
    place, step = _place(path)
    with reading(place / str(step), verify=False):
        manager = open_manager(place, write=False)
        found = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
        manager.close()
        return _of_stage(found)


def _of_stage(meta: dict) -> dict:
    """The meta of a stage; for a model that was saved alone, whose meta is the content of its model.json, with a
    stage's keys."""
    if not isinstance(meta, dict):
        raise ValueError(f'its metadata is a {type(meta).__name__}, not an object')
    info = meta.get('model')
    if info is None:
        return meta
    said = {'stage': info['way'], 'method': info['method'], 'config': {'schema': info['schema']} | info['config']}
    return meta | said | {'data': info['data'] | {'shape': info['input']['shape']}}


def _place(path) -> tuple[Path, int]:
    """(the directory with the checkpoints that a path means, the newest step in it)."""
    path = Path(paths.expand(fetch.local(path)))
    places = [path, path / 'model', path / 'checkpoints', path / 'pretrain/model']
    places += sorted(path.glob('seed*/pretrain/model'))
    for place in places:
        if steps := _steps(place):
            if place == path / 'checkpoints':
                logging.warning('%s is unfinished; using its latest checkpoint.', path)
            return place, max(steps)
    raise FileNotFoundError(
        f'no checkpoint at {path}: {_seen(path)}; give the directory of a run (one with seed0/pretrain/model) or of '
        'one stage.'
    )


def _shapes(manager, place: Path, step: int) -> dict:
    """{'params' and, where there is one, 'state': its tree of shapes}."""
    found = {}
    for item in ('params', 'state'):
        if (place / str(step) / item).is_dir():
            tree = manager.item_metadata(step)[item].tree
            found[item] = jax.tree.map(lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype), tree)
    return found


def _steps(place: Path) -> list[int]:
    """The steps in `place`; [] if it is not a directory."""
    with disk_errors(place):
        return [int(p.name) for p in place.iterdir() if p.name.isdigit()] if place.is_dir() else []


def _seen(path: Path) -> str:
    """What is at a path that holds no checkpoint."""
    if not path.exists():
        return f'there is no such directory{paths.obstacle(path)}'
    if not path.is_dir():
        return f'it is {paths.kind(path)}'
    stages = sorted(p.parent for p in (*path.glob('seed*/*/metrics.jsonl'), *path.glob('*/metrics.jsonl')))
    if path.joinpath('metrics.jsonl').exists() or path.joinpath('checkpoints').exists():
        return 'the stage is not finished (rerun its command to continue)'
    if not stages:
        return 'it holds no stage of a run'
    said = [f'{p.relative_to(path)} ({"finished" if (p / "done.json").exists() else "not finished"})' for p in stages]
    return f'its stages are {", ".join(said[:8])}'


@contextlib.contextmanager
def quiet():
    """Silences Orbax, which logs every step at INFO and unread items at WARNING."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)


@contextlib.contextmanager
def failing_quietly():
    """When Orbax fails to write, its threads and callbacks print tracebacks, now and later: these are silenced for
    good, since the error that is raised says it all."""
    level, hook = logging.get_verbosity(), sys.unraisablehook
    logging.set_verbosity(logging.FATAL)
    sys.unraisablehook = lambda what: 'Event loop is closed' in str(what.exc_value) or hook(what)
    yield
    logging.set_verbosity(level)
    sys.unraisablehook = hook

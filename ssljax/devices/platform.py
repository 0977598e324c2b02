"""What makes the CPU backend fast, apart from the models: a compiler option, threads, the allocator."""

import ctypes
import functools
import glob
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import jax
import jaxlib
from absl import logging

# What XLA hands to its YNN library: by default dot products, convolutions and reductions. Convolutions are up to four
# times faster in Eigen. Reductions are wrong or crash in jaxlib 0.10.2 (jax-ml/jax#39103, #39257, #40412).
_FUSION = 'xla_cpu_experimental_ynn_fusion_type'
_CPU_OPTIONS = {_FUSION: 'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT'}
# For what is recomputed to save memory: otherwise barriers, which keep it apart, are removed before the CPU compiler
# orders the operations, and it is computed early and kept after all.
_BARRIERS = {'xla_disable_hlo_passes': 'cse_barrier_expander'}
_ONCE_OPTIONS = _CPU_OPTIONS | {'xla_backend_optimization_level': '1'}
_KNOW_FUSION = (0, 10), (0, 13)  # jaxlib from the first to below the second; others abort the process on the flag

_UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '([^']+)'")  # a warning of JAX


@functools.cache
def compiler_options(barriers: bool = False) -> dict[str, str]:
    """Options for `jax.jit(f, compiler_options=...)`; {} off the CPU and where jaxlib lacks them. With `barriers`,
    jax.checkpoint and jax.lax.optimization_barrier save memory on a CPU, too.

    Starts the backend at the first call, to compile a trivial program as a probe.
    """
    return (barriers and _accepted(_CPU_OPTIONS | _BARRIERS)) or _accepted(_CPU_OPTIONS)


@functools.cache
def once_options() -> dict[str, str]:
    """As `compiler_options`, for a program that runs once, such as one that draws initial weights: at LLVM's level 1.

    Such programs compiled up to three times as fast and drew the same bits (cnn, nin, resnet18, wrn28_2 and vit with
    jax 0.10).
    """
    return _accepted(_ONCE_OPTIONS)


def _accepted(options: dict[str, str]) -> dict[str, str]:
    if jax.default_backend() != 'cpu':
        return {}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


def sound_reductions() -> None:
    """Keeps XLA's reductions out of the YNN library in every program of this process, including those compiled without
    `compiler_options`; call it before the first one is. Adds to XLA_FLAGS, unless the user has set that flag.
    """
    version = tuple(int(part) for part in jaxlib.__version__.split('.')[:2])
    given = os.environ.get('XLA_FLAGS', '')
    if _KNOW_FUSION[0] <= version < _KNOW_FUSION[1] and _FUSION not in given:
        os.environ['XLA_FLAGS'] = f'{given} --{_FUSION}=-reduce'.strip()


def tune_cpu() -> bool:
    """Keeps large temporaries in the process, gives each thread small ones of its own, and keeps reductions sound
    (`sound_reductions`). Call it at the start.

    Sets glibc's M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD, so that freed memory is not given back to the system and
    paged in anew at every step; the process then returns little. Only the first thread's arena can hold more than 64
    MiB at a time, so programs run in the thread that calls them (no `jax_cpu_enable_async_dispatch`): their temporaries
    are kept once, in the first thread's arena, and XLA's threads have arenas for what they allocate, thousands of small
    pieces per step, without waiting for each other. Returns whether the allocator was set; without glibc it is not.
    """
    jax.config.update('jax_cpu_enable_async_dispatch', False)
    sound_reductions()
    if not sys.platform.startswith('linux'):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, 'gnu_get_libc_version'):
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    settings = ((mmap_max, 0), (trim_threshold, -1), (top_pad, 64 * 2**20))
    return all([libc.mallopt(name, value) for name, value in settings])


@functools.cache
def enter() -> None:
    """What every entry point of this package does first, once per process: `tune_cpu` and `keep_compiled`."""
    tune_cpu()
    keep_compiled()


def keep_compiled() -> None:
    """Keeps compiled programs on disk, so that a resumed run, or the next one, does not compile them again.

    They lie in JAX_COMPILATION_CACHE_DIR, or else in ~/.cache/ssljax; an empty variable, or a directory that cannot be
    written to, turns this off. An entry that cannot be read, such as one half written by a killed process, is removed:
    otherwise JAX would compile the program anew each time and never replace it.
    """
    place = os.environ.get('JAX_COMPILATION_CACHE_DIR', os.path.expanduser('~/.cache/ssljax'))
    kept = bool(place) and _writable(place)
    jax.config.update('jax_compilation_cache_dir', place if kept else None)
    if kept:
        if '://' not in place:
            warnings.showwarning = functools.partial(_shown, place, warnings.showwarning)
        jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
        jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)


def _shown(place: str, show: Callable, message, *args, **kw) -> None:
    """A warnings.showwarning that removes an unreadable cache entry, before its program is compiled and kept anew."""
    if not (found := _UNREADABLE.match(str(message))):
        show(message, *args, **kw)
        return
    for path in Path(place).glob(f'{glob.escape(found[1])}-*'):
        path.unlink(missing_ok=True)
    logging.warning('%s: a damaged compiled program (%s) was removed and will be recompiled.', place, found[1])


def _writable(directory: str) -> bool:
    if '://' in directory:
        return True  # a bucket: JAX handles it
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK | os.X_OK)

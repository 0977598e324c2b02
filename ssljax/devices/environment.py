"""What JAX reads from the environment: a value it cannot start with becomes one line that names the variable."""

import contextlib
import mmap
import os
import re
import sys
from pathlib import Path

from ssljax.processes import joining


@contextlib.contextmanager
def imports():
    """Around `import jax` of a command: a variable whose value JAX rejects then ends it with one line and code 2."""
    try:
        yield
    except ValueError as e:
        named = re.search(r'(?i)\bjax_\w+', str(e))
        if named is None:
            raise
        name = named[0].upper()
        print(f'error: {name}={os.environ.get(name, "")!r}: JAX rejects this value ({e}).', file=sys.stderr)
        sys.exit(2)


def start(coordinator: str = '', count: int | None = None, index: int | None = None, detect: bool = True) -> None:
    """Starts JAX: with other processes, see `joining.start`, and on the devices of JAX_PLATFORMS.

    Raises:
      ValueError: it cannot start with the variables as they are; the message says which, and what is available.
    """
    check_xla_flags(os.environ.get('XLA_FLAGS', ''))
    import jax  # not at the top: `imports` is around the first import

    joining.start(coordinator, count, index, detect)
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as e:
        said = str(e).split(' (set JAX_PLATFORMS')[0].rstrip('.')
        asked = getattr(jax.config, 'jax_platforms', None)
        there = _there()
        if not asked or not there:
            raise ValueError(f'JAX cannot start: {said or "it gives no reason"}.') from e
        raise ValueError(
            f'JAX_PLATFORMS={asked}: JAX cannot start this platform here{": " * bool(said)}{said}. This machine has '
            f'{there}: set JAX_PLATFORMS={there}, or leave it unset.'
        ) from e


def _there() -> str:
    """The platform that JAX chooses itself, or '' where it finds none."""
    import jax

    try:
        jax.config.update('jax_platforms', None)
        return jax.default_backend()
    except (RuntimeError, AssertionError):
        return ''


def check_xla_flags(given: str) -> None:
    """Raises ValueError for a flag that XLA does not know, at which it would end the process.

    The flags that it knows appear by name in its library.
    """
    words = given.split()
    if words and not words[0].startswith('--') and not os.path.isfile(words[0]):
        raise ValueError(f'XLA_FLAGS={words[0]}: neither a flag, which begins with --, nor a file.')
    flags = {word for word in words if word.startswith('--')}
    if unknown := sorted(flags.difference(known_flags(flags))):
        raise ValueError(f'XLA_FLAGS: this version of XLA has no flag {unknown[0].split("=")[0]}. Leave it out.')


def known_flags(flags) -> list[str]:
    """Those of `flags`, each --NAME=VALUE, whose names this version of XLA knows."""
    return [flag for flag in flags if _in_library(flag.lstrip('-').split('=')[0])]


def _in_library(name: str) -> bool:
    import jaxlib

    path = Path(jaxlib.__file__).parent / 'libjax_common.so'
    if not path.is_file():
        return True  # unknown
    with open(path, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as library:
        return library.find(name.encode() + b'\0') >= 0

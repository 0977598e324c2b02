"""Turns running out of memory, on device or host, into one message that says what to reduce."""

import contextlib
import errno
import re

import jax

HOLDS = 'pretrain.batch_size', 'semi.batch_size', 'transfer.batch_size', 'evaluate.batch_size'


@contextlib.contextmanager
def explained(config):
    """Raises ValueError in place of the errors with which JAX, NumPy and the system report that memory ran out."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError, OSError) as e:
        if not is_memory(e):
            raise
        raise ValueError(message(str(e), config)) from e


def is_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error)


def message(said: str, config) -> str:
    """The message for the user; said: that of the original error."""
    wanted = re.search(r'allocat\w*:? ([\d.]+) ?(bytes|[KMGT]i?B)', said)
    size = ''
    if wanted:
        size = f' ({float(wanted[1]) / 2**30:,.2f} GiB more were requested)' if wanted[2] == 'bytes' else (
            f' ({wanted[1]} {wanted[2]} more were requested)'
        )  # fmt: skip
    whose = 'host' if jax.default_backend() == 'cpu' else 'device or host'
    batches = ', '.join(f'{name} ({_value(config, name)})' for name in HOLDS)
    return (
        f'the {whose} is out of memory{size}. Reduce '
        f'batch sizes, {batches}; data.image_size; backbone.width and backbone.depth; added layers, '
        'such as pretrain.hidden; or pool, if it is a grid or flatten. --config.data.path=stream keeps images out of '
        'the '
        "device's memory. Everything finished so far is kept."
    )


def _value(config, name: str):
    for part in name.split('.'):
        config = config[part]
    return config

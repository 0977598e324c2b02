"""python -m ssljax.main --config=configs/rotnet.py [--workdir=DIR] [--config.FIELD=VALUE ...]"""

import os
import sys
from pathlib import Path

from ssljax import preempt

if __name__ == '__main__':
    preempt.early()  # before the imports, which take seconds
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import jax  # noqa: E402
from absl import app, flags, logging  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from ssljax import arguments, console, experiment, paths, platform  # noqa: E402
from ssljax.disk import OF_THE_MACHINE, DiskError, explained, raised_by_us  # noqa: E402

_CONFIG = config_flags.DEFINE_config_file('config', None, 'The recipe, a file under configs/.', lock_config=True)
_WORKDIR = flags.DEFINE_string('workdir', '', 'Where the run is kept; by default runs/NAME.')


def main(_) -> int:
    """Runs, or goes on with, one experiment; returns the exit code."""
    return command(experiment.run)


def command(work) -> int:
    """Calls work(config, workdir) with those of the flags; returns the exit code."""
    console.prepare()
    logging.set_verbosity(logging.WARNING)
    config = _CONFIG.value
    if config is None:
        print('error: give a recipe, for example --config=configs/quickstart.py', file=sys.stderr)
        return 2
    platform.enter()
    preempt.install()
    if 'JAX_COORDINATOR_ADDRESS' in os.environ:
        jax.distributed.initialize()
    try:
        work(config, Path(paths.expand(_WORKDIR.value or Path('runs') / config.name)))
    except preempt.Preempted:
        preempt.goodbye()
        return preempt.RESUME
    except (ValueError, OSError, ImportError) as e:
        if not raised_by_us(e):
            found = explained(e, _WORKDIR.value or '.') if isinstance(e, OSError) else None
            if found is None or found.errno not in OF_THE_MACHINE:
                raise
            e = found
        print(f'\nerror: {e}', file=sys.stderr, flush=True)
        if isinstance(e, DiskError):
            sys.stdout.flush()
            os._exit(1)  # Orbax has threads that would end with tracebacks of their own
        return 1
    return 0


def parse(argv):
    """Reads the command line; what cannot be understood ends the process with one line and the code 2."""
    console.prepare()
    try:
        rest, values = arguments.separate(argv[1:])
        arguments.check_recipe(rest)
    except ValueError as e:
        _exit(str(e))
    try:
        left = flags.FLAGS([argv[0], *rest])
    except Exception as e:  # a recipe is the user's own code, and can raise anything
        _exit(arguments.why_not(e, rest))
    if _CONFIG.value is not None:
        _set(_CONFIG.value, values)
    return left


def _set(config, values: dict) -> None:
    try:
        config.update_from_flattened_dict(values)
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        _exit(f'the recipe does not return a whole config, as ssljax.config.base() makes it: {e}')


def _exit(message):
    print(f'error: {message}', file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
    app.run(main, flags_parser=parse)

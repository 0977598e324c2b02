"""python -m ssljax.main --config=configs/rotnet.py ...: the command `ssljax train`, and what the verbs that read a
recipe share."""

import os
import sys
import traceback

from ssljax import verbs
from ssljax.devices import environment
from ssljax.processes import hosts, preempt

if __name__ == '__main__':
    verbs.begin('train')  # before the imports, which take seconds
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

with environment.imports():
    import jax  # noqa: F401
from absl import app, flags, logging  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from ssljax import api  # noqa: E402
from ssljax.buckets import mirror  # noqa: E402
from ssljax.devices import exhausted, platform  # noqa: E402
from ssljax.settings import arguments, recipe_faults  # noqa: E402
from ssljax.storage.disk import OF_THE_MACHINE, DiskError, explained, raised_by_us  # noqa: E402
from ssljax.text import console  # noqa: E402

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'The recipe: its name or file.', lock_config=False, sys_argv=[]
)
_WORKDIR = flags.DEFINE_string('workdir', '', 'Where the run is kept; by default runs/NAME.')
_COORDINATOR = flags.DEFINE_string(
    'coordinator', '', "For a run on several hosts: HOST:PORT of the first process, or 'auto' for what JAX detects."
)
_PROCESSES = flags.DEFINE_integer('processes', None, 'For a run on several hosts: how many processes.', lower_bound=1)
_PROCESS = flags.DEFINE_integer(
    'process', None, 'For a run on several hosts: which process this is, from 0.', lower_bound=0
)


def main(_) -> int:
    """Runs, or resumes, one experiment; returns the exit code."""
    return command(api.train)


def command(work, detect: bool = True) -> int:
    """Calls work(config, workdir) with those of the flags; returns the exit code. detect: as for `joining.start`."""
    console.prepare()
    console.plain_warnings()
    logging.set_verbosity(logging.WARNING)
    config = _CONFIG.value
    if config is None:
        print('error: give a recipe, for example --config=quickstart (see --help)', file=sys.stderr)
        return 2
    platform.enter()
    preempt.install()
    try:
        environment.start(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, detect)
        with exhausted.explained(config):
            with mirror.opened(_WORKDIR.value, config) as workdir:
                work(config, workdir)
    except preempt.Preempted:
        preempt.goodbye()
        hosts.leave()
        return preempt.RESUME
    except Exception as e:
        if (known := _known(e)) is None:
            hosts.failed(e, traceback.format_exc(), unexpected=True)
            raise
        hosts.failed(e, f'\nerror: {known}')
        print(f'\nerror: {known}', file=sys.stderr, flush=True)
        if isinstance(known, DiskError):
            sys.stdout.flush()
            os._exit(1)  # Orbax has threads that would end with tracebacks of their own
        return 1
    hosts.leave()
    return 0


def _known(error: Exception) -> Exception | None:
    """The error as a message for the user; None if it is a bug."""
    if not isinstance(error, ValueError | OSError | ImportError):
        return None
    if raised_by_us(error):
        return error
    found = explained(error, _WORKDIR.value or '.') if isinstance(error, OSError) else None
    return None if found is None or found.errno not in OF_THE_MACHINE else found


def parse(argv):
    """Reads the command line; one that cannot be parsed ends the process with one line and exit code 2."""
    console.prepare()
    try:
        rest, values = arguments.separate(arguments.spelled(argv[1:]))
        found = arguments.find_recipe(rest)
    except ValueError as e:
        _exit(str(e))
    logging.set_verbosity(logging.ERROR)  # what ml_collections would warn of is an error here
    try:
        left = flags.FLAGS([argv[0], *found])
    except BaseException as e:  # a recipe is the user's own code, and can raise anything
        given, file = arguments.recipe(rest) or '', arguments.recipe(found) or ''
        if not isinstance(e, Exception) and not recipe_faults.raised_in(e, file):
            raise
        _exit(recipe_faults.why_not(e, given, file))
    if (given := arguments.recipe(rest)) is not None:
        _set(_CONFIG.value, values, given)
    return left


def _set(config, values: dict, given: str) -> None:
    try:
        recipe_faults.check_returned(config, given)
        config.lock()
        plan = {field for field in values if field.startswith('plan.')}
        if plan and not config.plan.minutes:
            raise ValueError(f'the recipe {given} makes no plan: --minutes and --flips only go with --config=auto.')
        config.update_from_flattened_dict(values)
        if config.plan.minutes:
            config.plan.given = tuple(sorted(values.keys() - plan))
    except ValueError as e:
        _exit(str(e))
    except (AttributeError, KeyError, TypeError) as e:
        _exit(f'the recipe does not return a complete config, as made by ssljax.config.base(): {e}')


def _exit(message):
    print(f'error: {message}', file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
    app.run(main, flags_parser=parse)

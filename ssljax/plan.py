"""Make a recipe for your images, with a reason for every field.

usage: ssljax plan PATH [--minutes=N] [--out=FILE] [--flips=yes|no|auto]
                   [--config.FIELD=VALUE ...]

  PATH            a folder, .zip, .tar or .npz of images, a CSV of labels, or
                  another source as in config.data.source, such as digits
  --minutes=N     for the whole `ssljax train --config=FILE` (30)
  --out=FILE      the recipe, a Python file that does not exist yet (plan.py)
  --flips=yes     a mirrored image keeps its class; no: left and right, or a
                  reading direction, matter; auto: judged by the class names
  --config.FIELD=VALUE    a field that stays as it is, for example
                  --config.data.labels=50

A few steps of each candidate are timed on the images; nothing is trained.
`ssljax train --config=auto` plans, trains and answers in one command.

example: ssljax plan photos --minutes=30 --out=photos.py
"""

import sys

from ssljax import verbs


def parse(args):
    """(arguments, {field: value}) of a command line; one that cannot be parsed ends the process with exit code 2."""
    parser = verbs.Parser('plan')
    parser.add_argument('path')
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--out', default='plan.py')
    parser.add_argument('--flips', choices=('auto', 'yes', 'no'), default='auto')
    return parser.with_fields(args)


def main(args) -> int:
    """The exit code."""
    from ssljax.devices import environment, platform  # not at the top: --help need not wait for JAX

    found, given = parse(args)
    platform.enter()
    environment.start()
    from ssljax import planning
    from ssljax.planning import recipe

    fields = {field.replace('.', '__'): value for field, value in given.items()}
    made = planning.plan(found.path, found.minutes, found.out, flips=found.flips, **fields)
    print(recipe.table(made))
    print(f'\nRecipe: {found.out} (ssljax train --config={found.out})')
    return 0


if __name__ == '__main__':
    verbs.begin('plan')
    sys.exit(verbs.run(main, sys.argv[1:]))

"""`python -m ssljax.report WORKDIR` writes WORKDIR/report.html again from the run's files; of several folders it prints
one table that compares the runs."""

import os
import sys

from ssljax import console
from ssljax.report import table, write
from ssljax.report.read import read
from ssljax.report.runs import compare_runs


def main(args):
    console.prepare()
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # umap-learn imports TensorFlow where it is installed
    if not args or any(arg.startswith('-') for arg in args):
        print('usage: python -m ssljax.report WORKDIR [WORKDIR ...]', file=sys.stderr)
        return 2
    try:
        if len(args) > 1:
            print(compare_runs(args))
            return 0
        print(table(read(args[0]).result))
        print(write(args[0]))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

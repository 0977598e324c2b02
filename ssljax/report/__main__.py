"""`python -m ssljax.report WORKDIR` writes WORKDIR/report.html again from the run's files; of several folders it prints
one table that compares the runs."""

import sys

from ssljax.report.page import write
from ssljax.report.read import read
from ssljax.report.runs import compare_runs
from ssljax.report.table import table


def main(args):
    if not args or any(arg.startswith('-') for arg in args):
        print('usage: python -m ssljax.report WORKDIR [WORKDIR ...]', file=sys.stderr)
        return 2
    try:
        if len(args) > 1:
            print(compare_runs(args))
            return 0
        path = write(args[0])
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(read(args[0]).result))
    print(path)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

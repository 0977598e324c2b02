"""`python -m ssljax.report WORKDIR` writes WORKDIR/report.html again from the run's files."""

import sys

from ssljax.report.page import write
from ssljax.report.read import read
from ssljax.report.table import table


def main(args):
    if len(args) != 1 or args[0].startswith('-'):
        print('usage: python -m ssljax.report WORKDIR', file=sys.stderr)
        return 2
    try:
        path = write(args[0])
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(read(args[0]).result))
    print(path)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

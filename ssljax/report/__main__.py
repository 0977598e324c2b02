"""Redraw the page of a run or study, or compare runs in one table.

usage: ssljax report DIR [DIR ...]

  DIR     the --workdir of a run or a study. Given one, its page is redrawn
          from its files (DIR/report.html or DIR/study.html), and the table of
          a run printed. Given several runs, one table of all is printed: each
          run is compared with its own controls, or with another's if images,
          label sets, network, optimiser, batch and steps agree; otherwise it
          says what differs

example: ssljax report runs/rotation runs/simclr
"""

import sys
from pathlib import Path

from ssljax import verbs
from ssljax.buckets import fetch
from ssljax.report import table, write
from ssljax.report.read import read
from ssljax.report.runs import compare_runs
from ssljax.studies import page
from ssljax.text import console


def main(args):
    console.prepare()
    console.plain_warnings()
    if not args or any(arg.startswith('-') for arg in args):
        print('usage: ssljax report DIR [DIR ...] (see --help)', file=sys.stderr)
        return 2
    try:
        given = [fetch.local(arg) for arg in args]
        if len(args) > 1:
            print(compare_runs(given))
        elif any((Path(given[0]) / name).exists() for name in ('study.json', 'rows.csv')):
            print(fetch.published(page.write(given[0]), args[0]))
        else:
            print(table(read(given[0]).result))
            print(fetch.published(write(given[0]), args[0]))
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    verbs.begin('report')
    sys.exit(main(sys.argv[1:]))

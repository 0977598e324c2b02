"""Redraw the page of a finished run, or print one table of several.

usage: ssljax report DIR [DIR ...]

  DIR     a run's folder, its --workdir. One: its page, DIR/report.html, is
          redrawn from its files and its table printed. Several: one table of
          all, in which each run is compared with its own controls, or with
          another's if images, label sets, network, optimiser, batch and steps
          agree; otherwise it says what differs

example: ssljax report runs/rotation runs/simclr
"""

import os
import sys

from ssljax import console, verbs
from ssljax.report import table, write
from ssljax.report.read import read
from ssljax.report.runs import compare_runs


def main(args):
    console.prepare()
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # umap-learn imports TensorFlow where it is installed
    if not args or any(arg.startswith('-') for arg in args):
        print('usage: ssljax report DIR [DIR ...] (--help says more)', file=sys.stderr)
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
    verbs.begin('report')
    sys.exit(main(sys.argv[1:]))

"""Look for copies, damage and shortcuts in a data set, before training.

usage: ssljax check PATH [--out=DIR] [--run=RUN] [--strict]

  PATH          a folder, .zip, .tar or .npz of images, or another source, such
                as digits; it is only read
  --out=DIR     where check.html, check.json and findings.png are written
                (runs/check_NAME)
  --run=RUN     a finished run on these classes, whose model looks for labels
                that may be wrong
  --strict      exit with 1 where there is a serious finding

Found are copies across splits and under several labels (re-encoded, resized
and brighter ones, too), files that cannot be decoded, labels that follow the
file format, size or border, and images that show nothing. Exit codes: 0 done,
1 serious findings with --strict, 2 it could not be checked.

example: ssljax check photos.zip --out=runs/check_photos
"""

import argparse
import sys

from ssljax import verbs


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f'error: {message} (--help says more)\n')


def main(argv) -> int:
    """Checks what the command line names; returns the exit code."""
    from absl import logging

    from ssljax import console, platform
    from ssljax.audit import whole
    from ssljax.disk import raised_by_us

    console.prepare()
    given = arguments(argv)
    logging.set_verbosity(logging.ERROR)  # what the listing warns of is among the findings
    platform.enter()
    try:
        result = whole.check(given.path, given.out, given.run)
        directory = whole.target(result['source'], given.out)
    except (ValueError, OSError, ImportError) as error:
        if not raised_by_us(error) and not isinstance(error, OSError):
            raise
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(whole.text(result, directory))
    return int(given.strict and any(f['severity'] == 'serious' for f in result['findings']))


def arguments(argv):
    """The command line's; ends the process with one line and the code 2 where it cannot be read."""
    parser = _Parser('ssljax check', add_help=False, allow_abbrev=False)
    parser.add_argument('path', metavar='PATH')
    parser.add_argument('--out', default='', metavar='DIR')
    parser.add_argument('--run', default='')
    parser.add_argument('--strict', action='store_true')
    return parser.parse_args(argv)


if __name__ == '__main__':
    verbs.begin('check')
    sys.exit(main(sys.argv[1:]))

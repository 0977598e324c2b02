"""Look at a data set before training: copies, damage, labels, shortcuts.

usage: ssljax check PATH [--out=DIR] [--run=RUN] [--strict]

  PATH          a folder, .zip, .tar or .npz of images, or another source, such
                as digits; it is only read
  --out=DIR     where check.html, check.json and findings.png are written
                (runs/check_NAME)
  --run=RUN     a finished run on these classes: its model looks for labels that
                may be wrong
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


def main(argv) -> int:
    """Checks what the command line names; returns the exit code."""
    from ssljax import console, platform
    from ssljax.audit import whole

    console.prepare()
    given = arguments(argv)
    platform.enter()
    try:
        result = whole.check(given.path, given.out, given.run)
        directory = whole.target(result['source'], given.out)
    except (ValueError, OSError, ImportError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(whole.text(result, directory))
    return int(given.strict and any(f['severity'] == 'serious' for f in result['findings']))


def arguments(argv):
    """The command line's; ends the process with one line and the code 2 where it cannot be read."""
    parser = argparse.ArgumentParser('ssljax check', add_help=False, allow_abbrev=False)
    parser.error = lambda message: parser.exit(2, f'error: {message} (--help says more)\n')
    parser.add_argument('path', metavar='PATH')
    parser.add_argument('--out', default='', metavar='DIR')
    parser.add_argument('--run', default='')
    parser.add_argument('--strict', action='store_true')
    return parser.parse_args(argv)


if __name__ == '__main__':
    verbs.begin('check')
    sys.exit(main(sys.argv[1:]))

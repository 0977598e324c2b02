"""Look for copies, damage and shortcuts in a data set.

usage: ssljax check PATH [--out=DIR] [--run=RUN] [--strict]
                    [--config.data.FIELD=VALUE ...]

  PATH          a folder, .zip, .tar or .npz of images, a CSV of labels, or
                another source, such as digits; it is only read
  --out=DIR     where check.html, check.json and findings.png are written
                (runs/check_NAME); those of an earlier check are replaced
  --run=RUN     a finished run on these classes, whose model looks for labels
                that may be wrong
  --strict      exit with 1 if there is a serious finding
  --config.data.FIELD=VALUE     how the data is read, as in training, such as
                --config.data.pattern='{label}.{}.jpg'

Finds copies across splits and under several labels (also re-encoded, resized
and brighter ones), files that cannot be decoded, labels that follow the file
format, size or border, and images that show nothing. Exit codes: 0 done,
1 failed, or serious findings with --strict, 2 usage.

example: ssljax check photos.zip --out=runs/check_photos
"""

import sys

from ssljax import verbs


def parse(args):
    """(arguments, {field: value}) of a command line; one that cannot be parsed ends the process with exit code 2."""
    parser = verbs.Parser('check')
    parser.add_argument('path', metavar='PATH')
    parser.add_argument('--out', default='', metavar='DIR')
    parser.add_argument('--run', default='')
    parser.add_argument('--strict', action='store_true')
    return parser.with_fields(args)


def main(args) -> int:
    """The exit code: 0, or 1 with --strict if there is a serious finding."""
    from absl import logging  # not at the top: --help need not wait for JAX

    from ssljax import api
    from ssljax.audit import whole

    given, values = parse(args)
    logging.set_verbosity(logging.ERROR)  # what the listing warns of is among the findings
    fields = {field.replace('.', '__'): value for field, value in values.items()}
    result = api.check(given.path, given.out, given.run, **fields)
    print(whole.text(result, whole.target(result['source'], given.out)))
    return int(given.strict and any(f['severity'] == 'serious' for f in result['findings']))


if __name__ == '__main__':
    verbs.begin('check')
    sys.exit(verbs.run(main, sys.argv[1:]))

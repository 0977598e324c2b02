"""Choose which images to label next, and label them on a local page.

usage: ssljax label RUN [--count=N] [--out=FILE] [--by=RULE] [--seed=N]
                    [--serve] [--labels=FILE] [--port=N]

  RUN             the folder of the run whose unlabelled images to choose from
  --count=N       how many to choose (50)
  --out=FILE      the list, a CSV (to_label.csv); a contact sheet next to it
  --by=RULE       typical: images of the largest groups without a label
                  uncertain: diverse images the classifier is unsure of
                  auto: typical up to 10 labels per class, then uncertain
  --seed=N        seed of the run (default: that of its best model)
  --serve         open a page on this machine to label them with digit keys
  --labels=FILE   where the page appends labels (labels.csv); images that
                  have a label here are not chosen again
  --port=N        port of the page (default: a free one)

The next run reads the labels: --config.data.annotations=labels.csv

example: ssljax label runs/photos --count=50 --serve
"""

import sys

from ssljax import verbs


def parse(args):
    """The arguments of a command line; one that cannot be parsed ends the process with one line and exit code 2."""
    parser = verbs.Parser('label')
    parser.add_argument('run')
    parser.add_argument('--count', type=int, default=50)
    parser.add_argument('--out', default='')
    parser.add_argument('--by', default='auto')
    parser.add_argument('--seed', type=int)
    parser.add_argument('--serve', action='store_true')
    parser.add_argument('--labels', default='labels.csv')
    parser.add_argument('--port', type=int, default=0)
    return parser.parse_args(args)


def main(args) -> int:
    """The exit code."""
    from ssljax.labeling import label, server  # not at the top: --help need not wait for JAX

    given = parse(args)
    out = given.out or ('' if given.serve else 'to_label.csv')
    found = label(given.run, given.count, out, by=given.by, labels=given.labels, seed=given.seed)
    print(f'{len(found.paths)} of {len(found.pool.unlabeled):,} unlabelled images, the most useful first')
    if found.out:
        print(f'List: {found.out}\nContact sheet: {found.out.with_suffix(".png")}')
    if given.serve:
        server.serve(found, given.labels, given.port)
    return 0


if __name__ == '__main__':
    verbs.begin('label')
    sys.exit(verbs.run(main, sys.argv[1:]))

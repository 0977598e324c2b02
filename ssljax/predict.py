"""Predict image files with a trained model, one row per file.

usage: ssljax predict RUN PATH [PATH ...] [--out=FILE] [--way=WAY] [--seed=N]
                      [--top=N] [--embed] [--copy_to=DIR] [--overwrite]

  RUN             a run (its best model on validation), or a saved model
  PATH            images, folders, .zip, .tar, or a list (.txt, or .csv: path)
  --out=FILE      the table: .csv, .json or .parquet (predictions.csv)
  --way=WAY       select this way of the run, such as finetune
  --seed=N        select this seed of the run
  --top=N         columns for the N likeliest labels (1)
  --embed         also write features: FILE with suffix .npy, float32 [N, D]
  --copy_to=DIR   copy the images into folders named by label
  --overwrite     replace FILE if it exists

Columns: path, label, confidence (calibrated), unlike (the training images),
p_CLASS, error. A file that cannot be read gets a row with an error.

example: ssljax predict runs/photos new_photos --out=predictions.csv
"""

import argparse
import sys

from ssljax import verbs


def parse(args):
    """The arguments of a command line; one that cannot be parsed ends the process with one line and exit code 2."""
    parser = verbs.Parser('predict')
    parser.add_argument('run')
    parser.add_argument('path', nargs='+')
    parser.add_argument('--out', default='predictions.csv')
    parser.add_argument('--way', default='')
    parser.add_argument('--seed', type=int)
    parser.add_argument('--top', type=int, default=1)
    parser.add_argument('--embed', action='store_true')
    parser.add_argument('--copy_to', '--copy-to', default='')
    parser.add_argument('--overwrite', action='store_true')
    parser.add_argument('--batch_size', type=int, default=256, help=argparse.SUPPRESS)
    return parser.parse_intermixed_args(args)


def main(args) -> int:
    """The exit code: 0, or 1 if nothing could be predicted."""
    from ssljax.prediction import predict  # not at the top: --help need not wait for JAX

    given = parse(args)
    found = predict(given.run, given.path, **{k: v for k, v in vars(given).items() if k not in ('run', 'path')})
    print(found.summary())
    print(f'Table: {found.out}')
    if given.embed and found.out:
        print(f'Features: {found.out.with_suffix(".npy")}')
    if given.copy_to:
        print(f'Copies, in folders named by label: {given.copy_to}')
    return 1 if all(found.errors) else 0


if __name__ == '__main__':
    verbs.begin('predict')
    sys.exit(verbs.run(main, sys.argv[1:]))

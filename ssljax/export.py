"""Write a trained model to a file that other programs can use.

usage: ssljax export RUN --format=FORMAT [--out=PATH] [--way=WAY] [--seed=N]
                     [--images=PATH] [--features]

  RUN               the folder of a run, a stage or a saved model
  --format=FORMAT   onnx, stablehlo or tflite: the network, from images uint8
                    [N, H, W, C] to probabilities; safetensors: its weights,
                    named as in torchvision or timm if they have the network
  --out=PATH        the file (RUN/model.FORMAT); PATH.json beside it has the
                    classes, the input and how images are prepared
  --way=WAY         for a run: this way, or pretrain, the backbone alone
  --seed=N          for a run: this seed
  --images=PATH     an image, or a folder of images, to check the file on too
  --features        also features, for `predict PATH --embed` and column unlike

What the file computes is compared with the model on random images; if it
differs by more than 1e-4, nothing is written. Needs the extra `export`, and
for tflite TensorFlow, which is in the extra `tfds`.

example: ssljax export runs/quickstart --format=onnx --out=digits.onnx
"""

import sys

from ssljax import verbs

MOST = 64  # images of a folder that a file is checked on


def parse(args):
    """The arguments of a command line; one that cannot be parsed ends the process with one line and exit code 2."""
    parser = verbs.Parser('export')
    parser.add_argument('run')
    parser.add_argument('--format', required=True)
    parser.add_argument('--out', default='')
    parser.add_argument('--way', default='')
    parser.add_argument('--seed', type=int)
    parser.add_argument('--images', default='')
    parser.add_argument('--features', action='store_true')
    return parser.parse_intermixed_args(args)


def main(args) -> int:
    """Exports what a command line asks for; returns the exit code."""
    given = parse(args)

    from pathlib import Path

    from ssljax import exporting, trained  # not at the top: --help need not wait for JAX
    from ssljax.storage import paths  # not at the top: --help need not wait for JAX

    module = exporting.module_of(given.format)
    found = trained.load(given.run, given.way, given.seed)
    if not given.out and paths.is_url(given.run):
        raise ValueError(f'{given.run} is on a bucket: give the file to write, such as --out=model{module.SUFFIX}.')
    out = given.out or Path(paths.expand(given.run)) / f'model{module.SUFFIX}'
    shown = images_of(given.images, found) if given.images else None
    path = found.export(out, given.format, shown, given.features)
    print(f'{found!r}\n{found.chosen}\n\nFile: {path}\nDescription: {path}.json')
    return 0


def images_of(given: str, model) -> list:
    """The path of an image, or up to MOST images of a folder and its subfolders, as a Model takes them. Those that
    cannot be read are left out, with a warning.

    Raises:
      ValueError: nothing is there, or the folder has no image that can be read.
    """
    from pathlib import Path

    from ssljax.storage import paths

    path = Path(paths.expand(given))
    if not path.exists():
        raise ValueError(f'--images={given}: there is no image or folder of that name{paths.obstacle(path)}.')
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob('*') if p.is_file() and not p.name.startswith('.'))[:MOST]
    if not found:
        raise ValueError(f'--images={given} is a folder without files.')
    images, broken = [], []
    for one in found:
        try:
            images.append(next(model.read(one))[0])
        except (ValueError, OSError) as error:
            broken.append(str(error))
    if not images:
        raise ValueError(f'--images={given}: none of {len(found)} files can be used; {broken[0]}.')
    if broken:
        print(f'warning: {len(broken)} of {len(found)} files are left out: {broken[0]}', file=sys.stderr)
    return images


if __name__ == '__main__':
    verbs.begin('export')
    sys.exit(verbs.run(main, sys.argv[1:]))

"""A quick look whether the speeds over PyTorch are still those of benchmarks/results: `make bench-quick`.

    python -m benchmarks.quick [--cifar=PATH] [--only=NAME,...] [--rounds=2] [--seconds=1] [--out=FILE.json]

Measures the training steps of `benchmarks.steps` and the paths of `benchmarks.input`, each beside PyTorch, and prints
their ratios beside those of steps.json and input.json. What has fallen by a fifth is measured once more, for it may
have been disturbed; if it has fallen again, that is said, and the exit code is 1. Without --cifar=PATH, the archive of
the record, images are pieces of the two photographs of scikit-learn, 32 pixels wide. On two cores on which a step of
NIN takes 4.5 s it took 4 minutes, and 6 when our programs had to be compiled. Run it alone on the machine. Ratios
depend on the machine, which is printed beside that of the record.
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import images, input, jobs, steps
from benchmarks.record import begin, check_rounds, known_names
from benchmarks.worker import ROOT
from ssljax.storage import files

FALLEN = 0.8  # of the ratio of the record: below it, a fifth and more is gone
PATHS = ('resident', 'zip', 'folder')
IMAGES, BATCH, SIDE = 20480, 128, 32  # as many images as the record has: shorter epochs cost a stream a fifth
RESULTS = ROOT / 'benchmarks/results'


class Row(NamedTuple):
    """A speed over PyTorch. name: 'step NAME' or 'input PATH'. here: measured now. record: of benchmarks/results, None
    where it has none."""

    name: str
    here: float
    record: float | None

    @property
    def fallen(self) -> bool:
        """Whether a fifth and more of it is gone."""
        return self.record is not None and self.here < FALLEN * self.record


def recorded(results: Path = RESULTS) -> tuple[dict[str, float], str]:
    """({name: ratio} of steps.json (float32) and input.json (CIFAR-10, later epochs), the machine that had them).

    Raises:
      ValueError: neither is there, or they have no ratios.
    """
    records = {name: files.read_json(results / f'{name}.json') or {'rows': []} for name in ('steps', 'input')}
    found = {
        f'step {row["name"]}': row['ratio']['median']
        for row in records['steps']['rows']
        if row['dtype'] == 'float32' and row.get('ratio')
    }
    found |= {
        f'input {row["path"]}': row['ratio']['later']['median']
        for row in records['input']['rows']
        if row['data'] == 'cifar' and row['path'] in PATHS and row.get('ratio')
    }
    if not found:
        raise ValueError(
            f'{results} has no speeds over PyTorch: make them with python -m benchmarks.steps --peer=torch and '
            'python -m benchmarks.input --peer=torch --cifar=PATH.'
        )
    return found, next(machine(record['hardware']) for record in records.values() if record['rows'])


def machine(hardware: dict) -> str:
    """In words."""
    return f'{hardware["device"]}, {hardware["host_cores"]} cores'


def compare(names, record: dict[str, float], measure: Callable[[list[str]], dict[str, float]]) -> list[Row]:
    """The rows of `names`, in their order. measure: (names) -> {name: ratio}; what has fallen by a fifth is measured
    twice, and the better ratio counts."""
    found = measure(list(names))
    rows = {name: Row(name, found[name], record.get(name)) for name in names}
    if again := [name for name, row in rows.items() if row.fallen]:
        print(f'measured once more, for it was slow: {", ".join(again)}', file=sys.stderr, flush=True)
        for name, ratio in measure(again).items():
            rows[name] = rows[name]._replace(here=max(ratio, rows[name].here))
    return list(rows.values())


def table(rows: list[Row]) -> str:
    """Every ratio beside that of the record."""
    lines = [f'{"speed over PyTorch":<28}{"here":>8}{"record":>8}{"share":>8}']
    for row in rows:
        record, share = ('-', '-') if row.record is None else (f'{row.record:.2f}', f'{row.here / row.record:.0%}')
        lines.append(f'{row.name:<28}{row.here:>8.2f}{record:>8}{share:>8}{"  FALLEN" * row.fallen}')
    return '\n'.join(lines)


def verdict(rows: list[Row]) -> str:
    """What has fallen by a fifth, in words, or ''."""
    fallen = [f'{row.name} from {row.record:.2f} to {row.here:.2f}' for row in rows if row.fallen]
    if not fallen:
        return ''
    return (
        f'{len(fallen)} of {len(rows)} speeds over PyTorch have fallen by a fifth or more: {"; ".join(fallen)}. If the '
        'machine was idle and is like that of the record, find the change (python -m benchmarks.profile NAME shows '
        'where a step spends its time); if the cause is known and stays, measure the record anew.'
    )


def measured(names: list[str], *, cifar: str = '', rounds: int = 2, seconds: float = 1.0) -> dict[str, float]:
    """{name: ratio}; all of them in this order, steps first. Raises RuntimeError where a side's process ended."""
    found, known = {}, jobs.table(accelerator=False)
    for name in names:
        kind, _, what = name.partition(' ')
        if kind == 'step':
            found[name] = steps.speed(known[what], 'float32', peer='torch', rounds=rounds, seconds=seconds)
            print(f'  {name}: {found[name]:.2f}', file=sys.stderr, flush=True)
    if paths := [name.partition(' ')[2] for name in names if name.startswith('input ')]:
        with tempfile.TemporaryDirectory() as root:
            source = cifar or str(pieces(Path(root) / 'pieces', IMAGES))
            images.sample(source, IMAGES, Path(root))
            what = {'root': root, 'size': 0, 'batch': BATCH}
            rows = input.measure(what, paths, peer='torch', rounds=rounds, seconds=seconds, rates_only=True)
            for row in rows[: len(paths)]:
                found[f'input {row["path"]}'] = row['ratio']['later']['median']
    return found


def pieces(folder: Path, count: int) -> Path:
    """Writes `count` JPEG files of SIDE pixels, pieces of scikit-learn's two photographs, as training images of two
    classes; returns the folder."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    for label, photo in enumerate(load_sample_images().images):
        place = folder / 'train' / f'photo{label}'
        place.mkdir(parents=True)
        corners = rng.integers(0, np.array(photo.shape[:2]) - SIDE, (count // 2, 2))
        for number, (y, x) in enumerate(corners):
            Image.fromarray(photo[y : y + SIDE, x : x + SIDE]).save(place / f'{number}.jpg', quality=95)
    return folder


def arguments(argv, known):
    """The command line's; ends the process with a message where it cannot be read."""
    parser = argparse.ArgumentParser('benchmarks.quick', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--cifar', default='', help='folder or archive of class folders, as in benchmarks.input')
    parser.add_argument('--only', default='', help="some of the ratios, with commas: 'step mae_vit,input zip'")
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--seconds', type=float, default=1.0, help='of a round, for each side')
    parser.add_argument('--out', default='')
    given = parser.parse_args(argv)
    given.names = given.only.split(',') if given.only else list(known)
    try:
        known_names(given.names, known, 'ratio')
    except ValueError as e:
        parser.error(str(e))
    check_rounds(parser, given)
    if given.cifar and not Path(given.cifar).expanduser().exists():
        parser.error(f'--cifar={given.cifar}: there is no such folder or archive.')
    if importlib.util.find_spec('torch') is None:
        parser.error('PyTorch is not installed: `make bench-quick` installs it.')
    return given


def main(argv) -> int:
    """Measures, prints the table, and returns the exit code: 1 where a ratio has fallen by a fifth."""
    known = [f'step {name}' for name in jobs.table(accelerator=False)] + [f'input {path}' for path in PATHS]
    given = arguments(argv, known)
    ratios, there = recorded()
    record = begin('quick', argv)
    print(f'here: {machine(record["hardware"])}; record: {there}', flush=True)
    options = dict(cifar=given.cifar, rounds=given.rounds, seconds=given.seconds)
    rows = compare(given.names, ratios, lambda names: measured(names, **options))
    print(table(rows))
    if given.out:
        files.write_json(given.out, record | {'rows': [row._asdict() | {'fallen': row.fallen} for row in rows]})
    if said := verdict(rows):
        print(f'\nerror: {said}', file=sys.stderr)
        return 1
    print(f'\nNone of {len(rows)} has fallen by a fifth.')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

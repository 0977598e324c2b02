"""What a user gains who would take lightly, semilearn or timm instead: whole trainings beside theirs.

    python -m benchmarks.users [NAME ...] --images=PATH --peer=PYTHON [--place=DIR] [--part=trial,rate,bounds,ours,peer]
      [--rounds=2] [--seconds=20] [--minutes=4] [--out=benchmarks/results/users.json]

PATH is a folder or archive of class folders with the splits train and val or test; it is unpacked below --place, which
later calls find, or a temporary folder. The cases are in benchmarks/cases.py; PYTHON is the interpreter of an
environment of its own:

    python -m venv peer && peer/bin/pip install torch torchvision lightly timm progress ruamel.yaml scikit-image \\
      scikit-learn scipy matplotlib tensorboard transformers && peer/bin/pip install --no-deps semilearn

Ours is the command of a run, as `ssljax train`; theirs is a script of benchmarks/peers around the tool's own loader,
augmentation, network, loss and loop. Both read the same files, and decode and augment them in their own way: ours
decodes them once at the start and augments in the compiled step, the tools in the workers of a DataLoader. Numbers of
threads are each side's defaults, and everything is float32. Parts:

  trial   seconds / 2 of the tool with 0 and 2 workers, in PyTorch's usual and in the channels_last layout of memory
  rate    alternating rounds of `seconds`, counted from a side's first row of metrics on, when it has compiled and
          warmed up: ours, the tool with the better number of workers as documented and, where it was faster in the
          trial, in channels_last
  bounds  seconds / 2 of what limits each side: the tool's loader without training, its network on one batch again and
          again, and ours with flips in place of its augmentation
  ours    a run of about so many minutes from the start of its process, and the metric on validation after it; the
          results after other numbers of minutes are kept
  peer    the same of the tool, in the faster form, given exactly as long as ours took

A call does the parts it is asked for, in this order, and keeps what --out has of others, so that they can be measured
one at a time. Run it alone on the machine.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import cases
from benchmarks.record import begin, ratio, spread
from benchmarks.worker import ROOT
from ssljax.data import folder, layout
from ssljax.progress import log as logs
from ssljax.storage import files

NEEDED = {'trial': (), 'rate': ('trial',), 'bounds': ('trial',), 'ours': ('rate',), 'peer': ('trial', 'ours')}
PARTS = tuple(NEEDED)
FORMS = tuple((workers, last) for last in (False, True) for workers in (0, 2))  # of a peer: workers, channels_last
ENDLESS = 10**6  # steps
POLL = 0.02  # seconds between looks at what a side has written


def lay(path: str, root: Path, labels: int) -> None:
    """Unpacks the images to root/train, val and test, the latter two the even and the odd ones of what is not for
    training, and names the first `labels` training images of each class (0: all) in root/labels.txt; nothing where that
    exists.

    Raises:
      FileNotFoundError, ValueError: as for folder.listing and layout.layout; or there is nothing to evaluate on.
    """
    if (root / 'labels.txt').is_file():
        return
    path = os.path.expanduser(path)
    found = folder.listing(path)
    classes, splits = layout.layout(found, path)
    rest = [pair for name, split in splits.items() if name != 'train' for pair in zip(*split)]
    if not rest:
        raise ValueError(f'--images={path} has no split val or test beside train: give one that has.')
    named: dict[str, list[str]] = {name: [] for name in classes}
    parts = {'train': list(zip(*splits['train'])), 'val': rest[::2], 'test': rest[1::2]}
    for split, pairs in parts.items():
        for number, label in pairs:
            kind = classes[label]
            name = f'{split}/{kind}/{Path(found.names[number]).name}'
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(found.read(number))
            if split == 'train' and (not labels or len(named[kind]) < labels):
                named[kind].append(name)
    (root / 'labels.txt').write_text('\n'.join(name for kind in named.values() for name in kind) + '\n')


def fields(case: cases.Case, root, steps: int) -> dict:
    """The fields that our run sets beyond its recipe's."""
    section, batch = case.section, 'transfer' if case.section.startswith('transfer') else case.section
    own = {
        'seeds': (0,), 'data.source': f'folder:{root}', 'data.image_size': case.size, 'data.channels': 3,
        'data.labels': f'list:{root}/labels.txt' if case.labels else 'all', 'log_every': case.every,
        'backbone.name': case.network, f'{section}.steps': steps, f'{section}.evals': 1, f'{section}.optim.name': 'sgd',
        f'{section}.optim.lr': case.lr, f'{section}.optim.schedule': 'constant', f'{batch}.batch_size': case.batch,
    }  # fmt: skip
    if case.stem:
        own['backbone.stem'] = case.stem
    if case.labeled:
        own['semi.labeled_batch_size'] = case.labeled
    if section == 'transfer.scratch':
        own['transfer.scratch.epochs'] = 0.0
    return own | case.fields


def our_parameters(case: cases.Case) -> dict:
    """{'backbone', 'projector' or 'head': how many}."""
    import jax

    import ssljax
    from ssljax import methods, stages

    changes = {name.replace('.', '__'): value for name, value in fields(case, '/none', 1).items()}
    config, shape = ssljax.recipe(case.recipe, **changes), (case.size, case.size, 3)
    pretext = case.section == 'pretrain'
    method = methods.pretext(config, shape) if pretext else stages.classifier(config, shape, 10, case.stage)
    batch = {'image': jax.ShapeDtypeStruct((1, *shape), 'uint8'), 'unlabeled_count': 64}
    shapes = jax.eval_shape(lambda key: method.init(key, batch), jax.random.key(0))['params']
    return {part: sum(a.size for a in jax.tree.leaves(tree)) for part, tree in shapes.items()}


def same_size(case: cases.Case, ours: dict, theirs: dict) -> None:
    """Raises RuntimeError where a part differs by more than a thousandth, as a bias or BatchNorm's scale may."""
    for part in ours.keys() | theirs.keys():
        own, other = ours.get(part, 0), theirs.get(part, 0)
        if abs(own - other) > own / 1000:
            raise RuntimeError(f'{case.name}: our {part} has {own:,} parameters, that of {case.tool} {other:,}.')


class Side:
    """A process that trains and writes rows of metrics; all that it started ends with it."""

    def __init__(self, command: list[str], rows: Path, place: Path, environment: dict):
        self.rows, self.output, self.command = rows, place / 'output.txt', command
        self.began = time.time()
        with open(self.output, 'w') as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | environment, stdout=out, stderr=out, start_new_session=True
            )

    def follow(self, metric: str, seconds: float = math.inf) -> tuple[list, float | None]:
        """([[seconds since the start, step], ...] of the rows of training, the value of the metric where one was met,
        which ends it, as do so many seconds after the first row).

        Raises:
          RuntimeError: the process ended before.
        """
        marks, seen = [], 0
        try:
            while True:
                ended = self.process.poll() is not None
                rows, now = logs.read(self.rows), time.time() - self.began
                for row in rows[seen:]:
                    if metric and metric in row:
                        return marks, row[metric]
                    marks.append([now, row['step']])
                seen = len(rows)
                if len(marks) > 2 and now - marks[0][0] >= seconds:
                    return marks, None
                if ended:
                    said = self.output.read_text()[-2000:]
                    raise RuntimeError(f'{" ".join(self.command[:3])} ended with {self.process.returncode}: {said}')
                time.sleep(POLL)
        finally:
            self.close()

    def close(self) -> None:
        """Ends the process and those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def ours(case: cases.Case, root: Path, place: Path, steps: int = ENDLESS, plain: bool = False) -> Side:
    """Our run, begun, with an empty compilation cache; `plain`: with flips as its only augmentation."""
    command = [sys.executable, '-m', 'ssljax', 'train', f'--config={case.recipe}', f'--workdir={place / "run"}']
    own = fields(case, root, steps)
    if plain:
        own |= {name: 'flip' for name in own if name.endswith(('.augment', '.strong'))}
    command += [f'--config.{name}={value}' for name, value in own.items()]
    environment = {'JAX_COMPILATION_CACHE_DIR': str(place / 'compiled'), 'JAX_PLATFORMS': 'cpu'}
    return Side(command, place / 'run' / 'seed0' / case.stage / 'metrics.jsonl', place, environment)


def peer(case: cases.Case, root: Path, place: Path, python: str, form, seconds: float = math.inf, only='') -> Side:
    """The tool's, begun; it trains for so many seconds from now on. only: as told.orders has it."""
    about = {'root': str(root), 'out': str(place), 'workers': form[0], 'channels_last': form[1], 'only': only}
    told = json.dumps(case._asdict() | about | {'end': time.time() + seconds})
    return Side([python, '-m', f'benchmarks.peers.{case.module}', told], place / 'metrics.jsonl', place, {})


def rate_of(case: cases.Case, marks: list) -> dict:
    """{'start': seconds to the first row, 'images_s': after it, 'steps', 'seconds': over which}."""
    (began, first), (ended, last) = marks[0], marks[-1]
    steps, seconds = last - first, ended - began
    return {'start': began, 'images_s': case.images * steps / seconds, 'steps': steps, 'seconds': seconds}


def trial(case: cases.Case, root: Path, python: str, seconds: float) -> dict:
    """{'about', 'ours': parameters, 'forms': [{'workers', 'channels_last', 'images_s'}]}."""
    found = {'ours': our_parameters(case), 'forms': []}
    for form in FORMS:
        with tempfile.TemporaryDirectory() as place:
            marks, _ = peer(case, root, Path(place), python, form).follow('', seconds)
            found['about'] = files.read_json(Path(place) / 'about.json')
        same_size(case, found['ours'], found['about']['parameters'])
        rate = rate_of(case, marks)['images_s']
        found['forms'].append({'workers': form[0], 'channels_last': form[1], 'images_s': rate})
    return found


def bounds(case: cases.Case, root: Path, python: str, forms: list[dict], seconds: float) -> dict:
    """{'loader', 'network', 'plain': images/s}."""
    found = {}
    for what in 'loader', 'network', 'plain':
        with tempfile.TemporaryDirectory() as place:
            at = Path(place)
            if what == 'plain':
                begun = ours(case, root, at, plain=True)
            else:
                begun = peer(case, root, at, python, best(forms, True), only=what)
            found[what] = rate_of(case, begun.follow('', seconds)[0])['images_s']
    return found


def best(forms: list[dict], documented: bool = False) -> tuple[int, bool]:
    """The fastest form of a trial; `documented`: of those without channels_last."""
    usable = [form for form in forms if not (documented and form['channels_last'])]
    form = max(usable, key=lambda form: form['images_s'])
    return form['workers'], form['channels_last']


def rates(case: cases.Case, root: Path, python: str, forms: list[dict], rounds: int, seconds: float) -> dict:
    """{'ours', 'peer', 'tuned' where channels_last is faster: spreads of images/s, with 'start', 'ratio',
    'ratio_tuned'}."""
    sides = {'ours': None, 'peer': best(forms, True)} | ({'tuned': best(forms)} if best(forms)[1] else {})
    rounds_of: dict[str, list[dict]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, form in sides.items():
            with tempfile.TemporaryDirectory() as place:
                at = Path(place)
                begun = peer(case, root, at, python, form) if form else ours(case, root, at)
                rounds_of[side].append(rate_of(case, begun.follow('', seconds)[0]))
    found = {}
    for side, each in rounds_of.items():
        found[side] = spread([one['images_s'] for one in each]) | {'start': spread([one['start'] for one in each])}
        found[side]['steps'] = [one['steps'] for one in each]
        if side != 'ours':
            found[side] |= {'workers': sides[side][0], 'channels_last': sides[side][1]}
            found['ratio' if side == 'peer' else 'ratio_tuned'] = ratio(found['ours'], found[side])
    return found


def planned(case: cases.Case, rate: dict, minutes: float) -> int:
    """Steps that ours should have trained after so many minutes, whole rows of them."""
    own = rate['ours']
    left = 60 * minutes - own['start']['median']
    return max(1, 1 + math.floor(left * own['median'] / case.images / case.every)) * case.every


def reached(case: cases.Case, marks: list, value: float) -> dict:
    """{'seconds': of training, from the start of the process, 'steps', 'images', 'value': after it}."""
    seconds, steps = marks[-1]
    return {'seconds': seconds, 'steps': steps, 'images': steps * case.images, 'value': value}


def measure(case: cases.Case, row: dict, parts, root: Path, given) -> None:
    """Adds the parts to a row that may have some.

    Raises:
      ValueError: a part needs one that has not been measured.
      RuntimeError: a side ended, or the networks differ.
    """
    for part in parts:
        for needed in NEEDED[part]:
            if needed not in row:
                raise ValueError(
                    f'--part={part} of {case.name} needs --part={needed}, which {given.out} does not have.'
                )
        with tempfile.TemporaryDirectory() as place:
            at = Path(place)
            if part == 'trial':
                row[part] = trial(case, root, given.peer, given.seconds / 2)
            if part == 'rate':
                row[part] = rates(case, root, given.peer, row['trial']['forms'], given.rounds, given.seconds)
            if part == 'bounds':
                row[part] = bounds(case, root, given.peer, row['trial']['forms'], given.seconds / 2)
            after = f'{given.minutes:g}'
            if part == 'ours' and case.metric:
                steps = planned(case, row['rate'], given.minutes)
                found = reached(case, *ours(case, root, at, steps).follow(case.metric))
                row.setdefault(part, {})[after] = found
            if part == 'peer' and case.metric:
                if after not in row['ours']:
                    raise ValueError(f'--part=peer of {case.name} needs --part=ours with --minutes={after}.')
                form = best(row['trial']['forms'])
                begun = peer(case, root, at, given.peer, form, row['ours'][after]['seconds'])
                found = reached(case, *begun.follow(case.metric)) | {'workers': form[0], 'channels_last': form[1]}
                row.setdefault(part, {})[after] = found


def line(row: dict) -> str:
    """What is known of a case, for the terminal."""
    text = f'{row["name"]:<18}{row["tool"]:<11}'
    if 'rate' in row:
        for side in 'ours', 'peer', 'tuned':
            text += f'{row["rate"][side]["median"] if side in row["rate"] else float("nan"):>9,.1f}'
        text += f'{row["rate"]["ratio"]["median"]:>8.2f}'
    for side in 'ours', 'peer':
        for found in row.get(side, {}).values():
            text += f'  {side} {100 * found["value"]:.2f}% after {found["seconds"]:.0f} s'
    return text


def arguments(argv):
    """The command line's; ends the process with a message where it cannot be read."""
    parser = argparse.ArgumentParser('benchmarks.users', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('names', nargs='*', metavar='NAME', help='cases of benchmarks/cases.py')
    parser.add_argument('--images', required=True)
    parser.add_argument('--peer', required=True, metavar='PYTHON')
    parser.add_argument('--place', default='')
    parser.add_argument('--part', default=','.join(PARTS))
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--seconds', type=float, default=20.0)
    parser.add_argument('--minutes', type=float, default=4.0)
    parser.add_argument('--out', default='benchmarks/results/users.json')
    given = parser.parse_args(argv)
    given.part = given.part.split(',')
    for part in given.part:
        if part not in PARTS:
            parser.error(f'--part has {part!r}; it can be {", ".join(PARTS)}, several with commas.')
    for name in ('rounds', 'seconds', 'minutes'):
        if not getattr(given, name) > 0:
            parser.error(f'--{name}={getattr(given, name)} must be above 0.')
    if not os.path.exists(os.path.expanduser(given.images)):
        parser.error(f'--images={given.images}: there is no such folder or archive.')
    try:
        given.cases = cases.chosen(given.names)
    except ValueError as e:
        parser.error(str(e))
    for tool in sorted({case.tool for case in given.cases}):
        if problem := lacks(given.peer, tool):
            parser.error(f'--peer={given.peer} {problem}; python -m pydoc benchmarks.users says how to make it.')
    return parser, given


def lacks(python: str, tool: str) -> str:
    """What is wrong with an interpreter that should have a package; '' if nothing is."""
    command = [
        python,
        '-c',
        'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)',
        tool,
    ]
    try:
        return f'does not have {tool}' if subprocess.run(command, capture_output=True).returncode else ''
    except OSError as e:
        return f'cannot be started ({e.strerror})'


def main(argv) -> None:
    """Measures, prints the table, and keeps what is done so far in --out."""
    parser, given = arguments(argv)
    record, out = begin('users', argv) | {'rows': []}, Path(given.out)
    kept = files.read_json(out) or {'rows': []}
    rows = {row['name']: row for row in kept['rows']}
    out.parent.mkdir(parents=True, exist_ok=True)
    for case in given.cases:
        about = {'batch': case.batch, 'labeled': case.labeled, 'measure': case.measure}
        about |= {'network': case.network, 'stem': case.stem, 'size': case.size}
        row = rows.setdefault(case.name, {}) | {'name': case.name, 'tool': case.tool} | about
        rows[case.name] = row
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(given.place or temporary) / f'{Path(given.images).stem}_{case.labels or "all"}'
            try:
                lay(given.images, root, case.labels)
                for part in [part for part in PARTS if part in given.part]:
                    measure(case, row, [part], root, given)
                    what = f'{part} {given.minutes:g}' if part in ('ours', 'peer') else part
                    row.setdefault('dates', {})[what] = record['date']
                    files.write_json(out, record | {'rows': [rows[c.name] for c in cases.CASES if c.name in rows]})
            except ValueError as e:
                parser.error(str(e))
        print(line(row), flush=True)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # not at once: what was started has to end, too
    main(sys.argv[1:])

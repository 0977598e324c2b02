"""How long a check of a data set takes, beside cleanvision on the same files.

    python -m benchmarks.check PATH [PATH ...] [--peer=PYTHON] [--images=20000] [--rounds=1]
      [--out=benchmarks/results/check.json]

PATH is a folder or archive of class folders; at most --images of its images, evenly drawn, are unpacked, since
cleanvision reads folders alone. PYTHON is the interpreter of an environment of its own with cleanvision:

    python -m venv peer && peer/bin/pip install cleanvision

What is timed are whole commands, with their imports: `ssljax check`, and cleanvision's find_issues with all of its
checks. Run it alone on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import begin, ratio, spread
from benchmarks.worker import ROOT
from ssljax.data import folder
from ssljax.storage import files

PEER = """
import json, sys, warnings
warnings.filterwarnings('ignore')
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues(verbose=False)
counts = {row['issue_type']: int(row['num_images']) for _, row in lab.issue_summary.iterrows()}
print(json.dumps(counts))
"""


def unpacked(path: str, root: Path, most: int) -> int:
    """Writes an even sample of at most `most` images of a folder or archive below root; returns how many."""
    found = folder.listing(os.path.expanduser(path))
    step = max(1, -(-len(found.names) // most))
    numbers = range(0, len(found.names), step)
    for number in numbers:
        target = root / found.names[number]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(found.read(number))
    return len(numbers)


def ours(root: Path, out: Path) -> dict:
    """{'seconds', 'found': {kind: images}} of one check."""
    began = time.time()
    command = [sys.executable, '-m', 'ssljax', 'check', str(root), f'--out={out}']
    quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {'JAX_PLATFORMS': 'cpu'}, **quiet)
    took, result = time.time() - began, files.read_json(out / 'check.json')
    return {'seconds': took, 'found': {f['kind']: f['count'] for f in result['findings']}}


def peer(python: str, root: Path) -> dict:
    """The same of cleanvision."""
    began = time.time()
    command, pipe = [python, '-c', PEER, str(root)], subprocess.PIPE
    done = subprocess.run(command, check=True, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    counts = json.loads(done.stdout.splitlines()[-1])
    return {'seconds': time.time() - began, 'found': {kind: n for kind, n in counts.items() if n}}


def measure(path: str, python: str = '', most: int = 20_000, rounds: int = 1) -> dict:
    """One row: 'data', 'images', 'ours' and 'peer' (seconds with their spread, and what was found), and 'ratio', the
    peer's seconds to ours."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / 'images'
        row = {'data': Path(path).stem, 'images': unpacked(path, root, most)}
        found = {'ours': []} | ({'peer': []} if python else {})
        for _ in range(rounds):
            found['ours'].append(ours(root, Path(place) / 'out'))
            if python:
                found['peer'].append(peer(python, root))
    for side, each in found.items():
        row[side] = spread([one['seconds'] for one in each]) | {'found': each[-1]['found']}
    return row | ({'ratio': ratio(row['peer'], row['ours'])} if python else {})


def line(row: dict) -> str:
    """A row of the table."""
    said = f'{row["data"]:<14}{row["images"]:>8,}{row["ours"]["median"]:>9.1f} s'
    if 'peer' in row:
        said += f'{row["peer"]["median"]:>9.1f} s{row["ratio"]["median"]:>8.2f}'
    return said


def main(argv) -> None:
    """Measures, prints the table, and keeps what is done so far in --out."""
    header = f'{"data":<14}{"images":>8}{"ours":>11}{"peer":>11}{"ratio":>8}'
    each_path('check', __doc__, argv, {'images': 20_000, 'rounds': 1}, header, measure, line)


def each_path(module: str, about: str, argv, numbers: dict, header: str, measure, line) -> None:
    """The command of a benchmark of whole commands: a row for each PATH, printed below `header`, and all in --out.

    Args:
      module: its name in benchmarks/; about: its docstring.
      numbers: {argument: default}, whole numbers of at least 1.
      measure: (path, --peer, *numbers) -> row; line: row -> text.
    """
    parser = argparse.ArgumentParser(f'benchmarks.{module}', description=about.split('\n')[0], allow_abbrev=False)
    parser.add_argument('paths', nargs='+', metavar='PATH')
    parser.add_argument('--peer', default='', help='the Python of an environment with the peer')
    for name, default in numbers.items():
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--out', default=f'benchmarks/results/{module}.json')
    given = parser.parse_args(argv)
    for name in numbers:
        if getattr(given, name) < 1:
            parser.error(f'--{name}={getattr(given, name)} must be 1 or more.')
    record = begin(module, argv) | {'rows': []}
    print(header)
    for path in given.paths:
        record['rows'].append(measure(path, given.peer, *(getattr(given, name) for name in numbers)))
        print(line(record['rows'][-1]), flush=True)
        files.write_json(given.out, record)


if __name__ == '__main__':
    main(sys.argv[1:])

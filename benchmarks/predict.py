"""How long the predictions of a folder take, beside timm's inference with the same network on the same files.

    python -m benchmarks.predict PATH [PATH ...] [--peer=PYTHON] [--images=4000] [--size=64] [--rounds=3]
      [--out=benchmarks/results/predict.json]

PATH is a folder or archive of class folders; at most --images of its images, evenly drawn, are unpacked. PYTHON is the
interpreter of an environment of its own with timm:

    python -m venv peer && peer/bin/pip install torch torchvision timm

What is timed are whole commands, with their imports and compilation: `ssljax predict`, and what timm's inference.py
does: its data set and loader (as many workers as cores, the faster of batches of 64 and 256), ResNet-18, softmax, a
CSV. The weights are those after one step; the time does not depend on them. Run it alone on the machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.check import each_path, unpacked
from benchmarks.record import ratio, spread
from benchmarks.worker import ROOT

PEER = """
import csv, os, sys, torch, timm
from timm.data import create_dataset, create_loader
root, size, batch, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
model = timm.create_model('resnet18', num_classes=10).eval().to(memory_format=torch.channels_last)
data = create_dataset('', root=root)
loader = create_loader(data, (3, size, size), batch, use_prefetcher=False, num_workers=os.cpu_count(), crop_pct=1.0)
with torch.inference_mode(), open(out, 'w', newline='') as f:
    writer, names = csv.writer(f), data.filenames(basename=False)
    done = 0
    for images, _ in loader:
        p = model(images.contiguous(memory_format=torch.channels_last)).softmax(1)
        for row in p.tolist():
            writer.writerow([names[done], max(range(10), key=row.__getitem__), *row])
            done += 1
assert done == len(names)
"""


def train(root: Path, size: int, run: Path) -> None:
    """A run of ResNet-18 on the images, of one step."""
    fields = {
        'data.source': f'folder:{root}', 'data.image_size': size, 'data.channels': 3, 'data.labels': '2/class',
        'data.val': '2/class', 'data.test': '2/class', 'data.path': 'stream', 'backbone.name': 'resnet18',
        'pretrain.method': 'none', 'transfer.ways': "('scratch',)", 'transfer.scratch.epochs': 0,
        'transfer.scratch.steps': 1, 'transfer.scratch.evals': 1, 'evaluate.figures': False, 'evaluate.probe': False,
        'evaluate.knn': 0, 'evaluate.reference': 200, 'seeds': '0',
    }  # fmt: skip
    command = [sys.executable, '-m', 'ssljax', 'train', '--config=quickstart', f'--workdir={run}']
    _quiet([*command, *(f'--config.{name}={value}' for name, value in fields.items())])


def _quiet(command: list[str]) -> float:
    """Runs a command; returns its seconds."""
    began = time.time()
    environment = os.environ | {'JAX_PLATFORMS': 'cpu'}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{command[:4]} ended with {done.returncode}: {done.stderr[-2000:]}')
    return time.time() - began


def measure(path: str, python: str = '', most: int = 4000, size: int = 64, rounds: int = 3) -> dict:
    """One row: 'data', 'images', 'ours' and 'peer' (seconds with their spread), 'ratio' of the peer's to ours."""
    with tempfile.TemporaryDirectory() as place:
        root, run, out = Path(place) / 'images', Path(place) / 'run', Path(place) / 'out.csv'
        row = {'data': Path(path).stem, 'images': unpacked(path, root, most), 'size': size}
        train(root, size, run)
        predict = [sys.executable, '-m', 'ssljax', 'predict', str(run), str(root), f'--out={out}', '--overwrite']
        theirs = lambda batch: _quiet([python, '-c', PEER, str(root), str(size), batch, f'{out}.peer'])
        ours, peer = [], []
        for _ in range(rounds):
            ours.append(_quiet(predict))
            if python:
                peer.append(min(map(theirs, ('64', '256'))))
    row['ours'] = spread(ours)
    return row | ({'peer': spread(peer), 'ratio': ratio(spread(peer), row['ours'])} if python else {})


def line(row: dict) -> str:
    """A row of the table."""
    rate = lambda side: f'{row[side]["median"]:>8.1f} s {row["images"] / row[side]["median"]:>7,.0f}/s'
    said = f'{row["data"]:<14}{row["images"]:>8,} {rate("ours")}'
    return said + (f' {rate("peer")}{row["ratio"]["median"]:>8.2f}' if 'peer' in row else '')


def main(argv) -> None:
    """Measures, prints the table, and keeps what is done so far in --out."""
    header = f'{"data":<14}{"images":>8}{"ours":>21}{"peer":>21}{"ratio":>8}'
    each_path('predict', __doc__, argv, {'images': 4000, 'size': 64, 'rounds': 3}, header, measure, line)


if __name__ == '__main__':
    main(sys.argv[1:])

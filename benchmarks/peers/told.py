"""What a peer of `benchmarks.users` is told, and what it tells: about.json and rows in metrics.jsonl, as ours."""

import itertools
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch


def orders() -> SimpleNamespace:
    """The only argument, JSON: the fields of a `cases.Case` and 'root', with the folders train and val of classes and
    labels.txt; 'workers' of a DataLoader; 'channels_last'; 'end', the time.time() after which training ends; 'out', a
    folder; 'only', '' or what alone is to be done: 'loader' (nothing is trained) or 'network' (on one batch, again and
    again)."""
    return SimpleNamespace(**{'only': ''} | json.loads(sys.argv[1]))


class Told:
    """The rows of a training, one every `every` steps."""

    def __init__(self, given: SimpleNamespace, versions: dict, **parts: torch.nn.Module):
        """parts: networks, whose parameters are counted."""
        self.given, self.step = given, 0
        self.file = open(Path(given.out) / 'metrics.jsonl', 'a')
        parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
        about = {'parameters': parameters, 'threads': torch.get_num_threads(), 'torch': torch.__version__} | versions
        (Path(given.out) / 'about.json').write_text(json.dumps(about))

    def stepped(self, loss: torch.Tensor | None = None) -> bool:
        """After each step, or with None each batch; whether it was the last."""
        self.step += 1
        over = time.time() >= self.given.end
        if self.step % self.given.every == 0 or over:
            self._row({'train/loss': 0.0 if loss is None else loss.item()})
        return over

    def measured(self, value: float) -> None:
        """After the evaluation."""
        self._row({self.given.metric: value})

    def _row(self, metrics: dict) -> None:
        self.file.write(json.dumps({'step': self.step, **metrics}) + '\n')
        self.file.flush()


def train(given: SimpleNamespace, loader, rows: Told, step) -> None:
    """Epoch after epoch until the time is over. step: (a batch of `loader`) -> the loss, after the weights moved."""
    while True:
        for batch in itertools.repeat(next(iter(loader))) if given.only == 'network' else loader:
            if rows.stepped(None if given.only == 'loader' else step(batch)):
                return


def labeled(given: SimpleNamespace) -> list[str]:
    """The paths of the labelled training images."""
    return [str(Path(given.root) / line) for line in (Path(given.root) / 'labels.txt').read_text().split('\n') if line]

"""A peer's side of `benchmarks.input`: a DataLoader over image files.

python -m benchmarks.peers.loader WHAT_AS_JSON     (started by benchmarks.input; speaks the lines of worker.py)
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks import worker


class Files(Dataset):
    """root/train/CLASS/FILE, each opened with Pillow, made RGB, its shorter side resized to `size` and cropped to the
    centre square, if that is not 0: (uint8 [H, W, 3], class)."""

    def __init__(self, root: Path, size: int):
        classes = sorted(path for path in (root / 'train').iterdir())
        self.files = [(path, label) for label, folder in enumerate(classes) for path in sorted(folder.iterdir())]
        self.size = size

    def __len__(self):
        return len(self.files)

    def __getitem__(self, row: int):
        path, label = self.files[row]
        with Image.open(path) as image:
            image = image.convert('RGB')
        if self.size and image.size != (self.size, self.size):
            side = min(image.size)
            left, top = (image.width - side) / 2, (image.height - side) / 2
            box = left, top, left + side, top + side
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.array(image), label


class Loaders:
    """A DataLoader of root/images with the default collate, shuffled; on a GPU, from pinned memory."""

    def __init__(self, root: str, size: int, batch: int):
        self.root, self.size, self.batch = Path(root), size, batch
        self.device = 'cuda' if torch.cuda.is_available() else 'cpu'

    def measure(self, workers: str, seconds: str) -> dict:
        """As benchmarks.loaders.Loaders.measure."""
        workers, gpu = int(workers), self.device == 'cuda'
        worker.forget(self.root)
        began = time.perf_counter()
        data = Files(self.root / 'images', self.size)
        loader = DataLoader(
            data,
            batch_size=self.batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=gpu,
        )
        first = 0.0
        for images, labels in loader:
            self._ready(images, labels)
            first = first or time.perf_counter() - began
        epoch, epochs = time.perf_counter(), 0
        while not epochs or time.perf_counter() - epoch < float(seconds):
            for images, labels in loader:
                self._ready(images, labels)
            epochs += 1
        images = len(loader) * self.batch
        later = epochs * images / (time.perf_counter() - epoch)
        return {'images': images, 'first_batch': first, 'first_epoch': images / (epoch - began), 'later': later}

    def _ready(self, *batch) -> None:
        if self.device == 'cuda':
            for array in batch:
                array.to(self.device, non_blocking=True)
            torch.cuda.synchronize()


def main(text: str) -> None:
    """Serves one set of images."""
    loaders = Loaders(**json.loads(text))
    worker.serve_calls({'torch': torch.__version__, 'device': loaders.device}, {'measure': loaders.measure})


if __name__ == '__main__':
    main(*sys.argv[1:])

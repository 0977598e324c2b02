"""FixMatch with semilearn (USB), as the notebook on custom data of its documentation: get_config, get_net_builder,
get_algorithm, BasicDataset, get_data_loader, Trainer.

python -m benchmarks.peers.semilearn_fixmatch ORDERS_AS_JSON     (started by benchmarks.users; speaks told.py's rows)

semilearn 0.3.2 trains on CUDA alone and imports packages that this needs nothing of (torchaudio, wandb, aim): those are
empty modules here, moving to a GPU does nothing, and the timer of CUDA's events is left out. BatchNorm's running
statistics move by 0.1 a step, as ours; semilearn's 0.001 is for its 2^20 steps. Weak and strong transforms are those
of its get_cifar.
"""

import importlib.machinery
import importlib.metadata
import sys
import types
import warnings

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms

from benchmarks.peers import told


def on_the_cpu() -> None:
    """Lets semilearn be imported, and train, without what a CPU does not have."""
    for name in ('torchaudio', 'wandb', 'aim'):
        module = types.ModuleType(name)
        module.__spec__, module.__version__ = importlib.machinery.ModuleSpec(name, None), '0'
        sys.modules.setdefault(name, module)
    torch.Tensor.cuda = nn.Module.cuda = lambda self, *_, **__: self
    torch.cuda.set_device = lambda device: None


class Over(Exception):
    """The time to train is over."""


def hook_of(rows):
    """Tells of each step, after the weights have moved."""
    from semilearn.core.hooks import Hook

    class Tell(Hook):
        def after_train_step(self, algorithm):
            if rows.stepped(algorithm.out_dict['loss'].detach()):
                raise Over

    return Tell()


def pixels(paths) -> np.ndarray:
    """[N, H, W, 3] uint8."""
    return np.stack([np.asarray(Image.open(path).convert('RGB')) for path in paths])


def main() -> None:
    """Trains until its time is over; evaluates the live and the averaged weights, and tells of the better."""
    given = told.orders()
    on_the_cpu()
    warnings.filterwarnings('ignore')
    import semilearn
    from semilearn.datasets.augmentation import RandAugment

    torch.manual_seed(0)
    config = semilearn.get_config({
        'algorithm': 'fixmatch', 'net': 'wrn_28_2', 'use_pretrain': False, 'epoch': 1024, 'num_train_iter': 2**20,
        'num_eval_iter': 2**20, 'num_log_iter': given.every, 'optim': 'SGD', 'lr': given.lr, 'momentum': 0.9,
        'weight_decay': 5e-4, 'batch_size': given.labeled, 'uratio': given.batch // given.labeled,
        'eval_batch_size': 500, 'ema_m': 0.999, 'dataset': 'none', 'num_labels': 10 * given.labels, 'num_classes': 10,
        'img_size': given.size, 'crop_ratio': 0.875, 'hard_label': True, 'p_cutoff': 0.95, 'gpu': 0, 'world_size': 1,
        'distributed': False, 'save_dir': given.out,
    })  # fmt: skip
    algorithm = semilearn.get_algorithm(config, semilearn.get_net_builder(config.net, from_name=False), None, None)
    for module in algorithm.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    if given.channels_last:
        algorithm.model.to(memory_format=torch.channels_last)
    folder = torchvision.datasets.ImageFolder(f'{given.root}/train')
    paths, classes = zip(*folder.samples)
    wanted = set(told.labeled(given))
    rows_labeled = [i for i, path in enumerate(paths) if path in wanted]
    train, classes = pixels(paths), np.array(classes)
    normal = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    moved = [
        transforms.Resize(given.size), transforms.RandomCrop(given.size, padding=4, padding_mode='reflect'),
        transforms.RandomHorizontalFlip(),
    ]  # fmt: skip
    weak = transforms.Compose([*moved, *normal])
    strong = transforms.Compose([*moved, RandAugment(3, 5), *normal])
    data = lambda rows, hidden: semilearn.BasicDataset(
        'fixmatch', train[rows], classes[rows], 10, weak, is_ulb=hidden, strong_transform=strong
    )
    loader = lambda dataset, batch: semilearn.get_data_loader(config, dataset, batch, num_workers=given.workers)
    labeled = loader(data(rows_labeled, False), given.labeled)
    unlabeled = loader(data(slice(None), True), given.batch)
    val = torchvision.datasets.ImageFolder(f'{given.root}/val')
    val_paths, val_classes = zip(*val.samples)
    val = semilearn.BasicDataset('fixmatch', pixels(val_paths), val_classes, 10, transforms.Compose(normal))
    evaluated = semilearn.get_data_loader(config, val, 500, num_workers=0, data_sampler=None, drop_last=False)
    rows = told.Told(
        given,
        {'semilearn': importlib.metadata.version('semilearn'), 'torchvision': torchvision.__version__},
        backbone=nn.ModuleList(m for name, m in algorithm.model.named_children() if name != 'classifier'),
        head=algorithm.model.classifier,
    )  # fmt: skip
    algorithm.register_hook(hook_of(rows), None, 'LOWEST')
    algorithm.hooks_dict.pop('TimerHook')
    trainer = semilearn.Trainer(config, algorithm)
    if given.only == 'loader':
        for _ in zip(labeled, unlabeled):
            if rows.stepped():
                return
    if given.only == 'network':
        labeled, unlabeled = ([next(iter(loader))] * 10000 for loader in (labeled, unlabeled))
    try:
        trainer.fit(labeled, unlabeled, evaluated)
    except Over:
        pass
    rows.measured(max(trainer.evaluate(evaluated, use_ema_model=averaged)['acc'] for averaged in (False, True)))


if __name__ == '__main__':
    main()

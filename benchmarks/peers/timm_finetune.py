"""A classifier with timm, as its train.py: create_dataset, create_loader with its default augmentation,
create_model, create_optimizer_v2.

python -m benchmarks.peers.timm_finetune ORDERS_AS_JSON     (started by benchmarks.users; speaks told.py's rows)

The weights begin at random, for there are none to be had here: a step takes as long.
"""

import timm
import torch
import torchvision
from timm.data import create_dataset, create_loader
from timm.optim import create_optimizer_v2

from benchmarks.peers import told


def main() -> None:
    """Trains until its time is over."""
    given = told.orders()
    torch.manual_seed(0)
    device = torch.device('cpu')
    model = timm.create_model('resnet18', num_classes=10)
    if given.channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(model, opt='sgd', lr=given.lr, weight_decay=5e-4, momentum=0.9)
    loader = create_loader(
        create_dataset('', root=f'{given.root}/train'), (3, given.size, given.size), given.batch, is_training=True,
        interpolation='random', num_workers=given.workers, persistent_workers=given.workers > 0, device=device,
    )  # fmt: skip
    criterion = torch.nn.CrossEntropyLoss()
    versions = {'timm': timm.__version__, 'torchvision': torchvision.__version__}
    backbone = torch.nn.ModuleList(m for name, m in model.named_children() if name != 'fc')
    rows = told.Told(given, versions, backbone=backbone, head=model.fc)
    model.train()

    def step(batch):
        images, labels = batch
        if given.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    told.train(given, loader, rows, step)


if __name__ == '__main__':
    main()

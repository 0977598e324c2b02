"""SimCLR with lightly, as the example of its documentation: its LightlyDataset, SimCLRTransform,
SimCLRProjectionHead and NTXentLoss, a DataLoader, two passes of the network a step.

python -m benchmarks.peers.lightly_simclr ORDERS_AS_JSON     (started by benchmarks.users; speaks told.py's rows)

The network is torchvision's ResNet-18, as in that example, or with the CIFAR stem lightly's own, as in its benchmark on
CIFAR-10, whose optimiser this is: SGD, rate 0.06, momentum 0.9, weight decay 5e-4.
"""

import lightly
import torch
import torchvision
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.models import ResNetGenerator
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from torch import nn
from torchvision import transforms

from benchmarks.peers import told


class SimCLR(nn.Module):
    """Of the documentation's example."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.projection_head = SimCLRProjectionHead(512, 512, 128)

    def forward(self, x):
        return self.projection_head(self.backbone(x).flatten(start_dim=1))


def backbone(stem: str) -> nn.Module:
    """Images -> [B, 512, 1, 1]."""
    if stem == 'cifar':
        return nn.Sequential(*list(ResNetGenerator('resnet-18').children())[:-1], nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*list(torchvision.models.resnet18().children())[:-1])


def nearest(model, loader_of, given, k: int = 20, temperature: float = 0.07) -> float:
    """Top-1 on val of the k nearest labelled images, as ssljax.evals.knn has it."""
    model.eval()
    with torch.no_grad():

        def features(name, keep=None):
            found, labels = [], []
            for x, y, _ in loader_of(name, keep):
                found.append(nn.functional.normalize(model.backbone(x).flatten(1)))
                labels.append(y)
            return torch.cat(found), torch.cat(labels)

        train, classes = features('train', told.labeled(given))
        queries, right = features('val')
        similarity, rows = (queries @ train.T).topk(k)
        weights = ((similarity - 1) / temperature).exp()
        votes = torch.zeros(len(queries), 10).scatter_add_(1, classes[rows], weights)
        return (votes.argmax(1) == right).float().mean().item()


def main() -> None:
    """Trains until its time is over; evaluates."""
    given = told.orders()
    torch.manual_seed(0)
    transform = SimCLRTransform(input_size=given.size, cj_strength=0.5, gaussian_blur=0.0)
    data = LightlyDataset(f'{given.root}/train', transform=transform)
    loader = torch.utils.data.DataLoader(
        data, batch_size=given.batch, shuffle=True, drop_last=True, num_workers=given.workers
    )
    model = SimCLR(backbone(given.stem))
    if given.channels_last:
        model = model.to(memory_format=torch.channels_last)
    criterion = NTXentLoss(temperature=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=given.lr, momentum=0.9, weight_decay=5e-4)
    versions = {'lightly': lightly.__version__, 'torchvision': torchvision.__version__}
    rows = told.Told(given, versions, backbone=model.backbone, projector=model.projection_head)

    def step(batch):
        (x0, x1), _, _ = batch
        if given.channels_last:
            x0, x1 = (x.contiguous(memory_format=torch.channels_last) for x in (x0, x1))
        loss = criterion(model(x0), model(x1))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    def loader_of(name, keep):
        normalize = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        plain = LightlyDataset(f'{given.root}/{name}', transform=transforms.Compose([transforms.ToTensor(), normalize]))
        if keep is not None:
            wanted = set(keep)
            chosen = [i for i, file in enumerate(plain.get_filenames()) if f'{given.root}/{name}/{file}' in wanted]
            plain = torch.utils.data.Subset(plain, chosen)
        return torch.utils.data.DataLoader(plain, batch_size=500)

    told.train(given, loader, rows, step)
    rows.measured(nearest(model, loader_of, given))


if __name__ == '__main__':
    main()

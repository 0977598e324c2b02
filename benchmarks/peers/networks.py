"""Convolutional backbones: [B, 3, H, W] -> [B, C, h, w], or [B, d] of the AlexNet."""

from torch import nn
from torch.nn import functional as F


def conv_block(inputs: int, outputs: int, kernel: int, stride=1, padding=None, *, groups=1, bias=False, relu=True):
    """Convolution, BatchNorm and ReLU."""
    padding = kernel // 2 if padding is None else padding
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


def nin(job) -> nn.Module:
    """RotNet's Network in Network with four blocks (Gidaris et al. 2018)."""
    blocks = ((5, (192, 160, 96)), (5, (192, 192, 192)), (3, (192, 192, 192)), (3, (192, 192, 192)))
    pools = (nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1), nn.Identity(), nn.Identity())
    layers, last = [], 3
    for (kernel, widths), pool in zip(blocks, pools):
        for i, width in enumerate(widths):
            layers.append(conv_block(last, width, 1 if i else kernel))
            last = width
        layers.append(pool)
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3x3 convolutions, or with `bottleneck` 1x1, 3x3, 1x1, to four times the width, plus the shortcut (He et al.
    2015)."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            first = conv_block(inputs, width, 1), conv_block(width, width, 3, stride)
        else:
            first = (conv_block(inputs, width, 3, stride),)
        self.branch = nn.Sequential(*first, conv_block(width, outputs, 1 if bottleneck else 3, relu=False))
        nn.init.zeros_(self.branch[-1][1].weight)
        changed = stride > 1 or inputs != outputs
        self.shortcut = conv_block(inputs, outputs, 1, stride, relu=False) if changed else nn.Identity()

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


def resnet(job, depths, bottleneck) -> nn.Module:
    """The stem 'cifar' is a 3x3 convolution, 'imagenet' 7x7 of stride 2 and max pooling."""
    cifar = job.stem == 'cifar'
    stem = (conv_block(3, 64, 3),) if cifar else (conv_block(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
    layers, last = [*stem], 64
    for i, depth in enumerate(depths):
        for j in range(depth):
            layers.append(Residual(last, 64 * 2**i, 2 if i and not j else 1, bottleneck))
            last = 64 * 2**i * (4 if bottleneck else 1)
    return nn.Sequential(*layers)


def resnet18(job) -> nn.Module:
    """18 layers."""
    return resnet(job, (2, 2, 2, 2), False)


def resnet50(job) -> nn.Module:
    """50 layers, with the stride in the 3x3 convolution."""
    return resnet(job, (3, 4, 6, 3), True)


def alexnet(job) -> nn.Module:
    """RotNet's AlexNet with BatchNorm for images of 128 pixels and more."""
    side = (job.size + 4 - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    dense = lambda inputs: (nn.Linear(inputs, 4096, bias=False), nn.BatchNorm1d(4096), nn.ReLU(inplace=True))
    return nn.Sequential(
        conv_block(3, 64, 11, 4, 2, bias=True), nn.MaxPool2d(3, 2),
        conv_block(64, 192, 5, bias=True), nn.MaxPool2d(3, 2),
        conv_block(192, 384, 3, bias=True), conv_block(384, 256, 3, bias=True), conv_block(256, 256, 3, bias=True),
        nn.MaxPool2d(3, 2), nn.Flatten(), *dense(256 * side * side), *dense(4096),
    )  # fmt: skip


def mobilenet(job) -> nn.Module:
    """MobileNet v1 (Howard et al. 2017, table 1)."""
    table = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
    layers, last = [conv_block(3, 32, 3, 1 if job.stem == 'cifar' else 2)], 32
    for width, stride in table:
        layers += [conv_block(last, last, 3, stride, groups=last), conv_block(last, width, 1)]
        last = width
    return nn.Sequential(*layers)


class Activate(nn.Sequential):
    """BatchNorm and leaky ReLU."""

    def __init__(self, width):
        super().__init__(nn.BatchNorm2d(width), nn.LeakyReLU(0.1, inplace=True))


class Wide(nn.Module):
    """A unit of a wide ResNet; the first of all has its shortcut after the activation, as in FixMatch's code."""

    def __init__(self, inputs, outputs, stride, first):
        super().__init__()
        self.first, self.activate1, self.activate2 = first, Activate(inputs), Activate(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changed = inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changed else nn.Identity()

    def forward(self, x):
        y = self.activate1(x)
        return self.shortcut(y if self.first else x) + self.conv2(self.activate2(self.conv1(y)))


def wrn28_2(job) -> nn.Module:
    """WRN-28-2 (Zagoruyko & Komodakis 2016) as FixMatch has it."""
    layers, last = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for width, stride in ((32, 1), (64, 2), (128, 2)):
        for i in range(4):
            layers.append(Wide(last, width, 1 if i else stride, last == 16))
            last = width
    return nn.Sequential(*layers, Activate(last))

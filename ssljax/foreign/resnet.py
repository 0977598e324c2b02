"""ResNet-18, -34 and -50: torchvision's names, which timm has, too."""

from ssljax.foreign import links

_PART = {'conv': 'conv', 'norm': 'bn'}
_RULES = {
    r'backbone/stem/block/conv': 'conv1',
    r'backbone/stem/block/norm': 'bn1',
    r'backbone/block(\d)/unit(\d+)/block(\d)/(conv|norm)': lambda m: f'layer{m[1]}.{int(m[2]) - 1}.{_PART[m[4]]}{m[3]}',
    r'backbone/block(\d)/unit(\d+)/shortcut/(conv|norm)': lambda m: (
        f'layer{m[1]}.{int(m[2]) - 1}.downsample.{0 if m[3] == "conv" else 1}'
    ),
    r'head/logits': 'fc',
}


def _code(config, shape, classes: int) -> list[str]:
    lines = ['import torch, torchvision', f'net = torchvision.models.{config.name}(num_classes={classes or 1000})']
    if config.stem == 'cifar':
        lines.append(f'net.conv1 = torch.nn.Conv2d({shape[2]}, 64, 3, padding=1, bias=False)')
        lines.append('net.maxpool = torch.nn.Identity()')
    elif shape[2] != 3:
        lines.append(f'net.conv1 = torch.nn.Conv2d({shape[2]}, 64, 7, 2, padding=3, bias=False)')
    return lines + ['net.fc = torch.nn.Identity()'] * (not classes)


def _differences(config, shape) -> list[str]:
    said = []
    if config.stem == 'cifar':
        said.append('the stem is a 3x3 convolution with stride 1 and without max pooling (for small images)')
    if shape[2] != 3:
        said.append(f'the first convolution takes {shape[2]} channels')
    return said


_misfit = links.of_size(width=64, depth=0)
LAYOUT = links.Layout('torchvision', 'fc', links.by_rules(_RULES), _misfit, _code, _differences)

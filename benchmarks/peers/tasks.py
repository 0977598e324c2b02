"""`parts` makes the networks of a job; a function of `LOSSES` yields, for one turn after the other, the names of the
parts that the turn trains and the loss that they minimise. Between two turns the optimiser has moved.

batch is {'image', 'label'} and where there are labelled images beside the others 'labeled', whose labels these are:
[B, 3, H, W] float32 in [0, 1] and [B] int64. ema is the list of averaged weights of FixMatch, None elsewhere.
"""

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.jobs import CLASSES
from benchmarks.peers import augment, networks, vit

NOISE = 100
WIDTHS = {'nin': 192, 'resnet18': 512, 'resnet50': 2048, 'alexnet': 4096, 'mobilenet': 1024, 'wrn28_2': 128}


def parts(job) -> nn.ModuleDict:
    """The networks of a job, under our names."""
    if job.task == 'mae':
        return nn.ModuleDict({'backbone': vit.Vit(job), 'decoder': vit.Decoder(job)})
    width = WIDTHS[job.network]
    found = {'backbone': getattr(networks, job.network)(job)}
    if job.task == 'simclr':
        found['projector'] = nn.Sequential(
            nn.Linear(width, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 64, bias=False)
        )
    else:
        found['head'] = nn.Linear(width, 4 if job.task == 'rotation' else CLASSES)
    if job.task == 'sgan':
        found['generator'] = generator()
    return nn.ModuleDict(found)


def generator(width: int = 64) -> nn.Module:
    """DCGAN's generator of images of 64 pixels (Radford et al. 2016)."""
    layers = [nn.ConvTranspose2d(NOISE, 8 * width, 4, bias=False), nn.BatchNorm2d(8 * width), nn.ReLU(True)]
    for scale in (4, 2, 1):
        layers += [nn.ConvTranspose2d(2 * scale * width, scale * width, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(scale * width), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh())


def features(net, x):
    """[B, d] float32 of images [B, 3, H, W] in [0, 1] or, as the generator's, already in [-1, 1]."""
    y = net['backbone'](x.contiguous(memory_format=torch.channels_last)).float()
    return y.mean((2, 3)) if y.ndim == 4 else y


def normalize(x):
    """[0, 1] to [-1, 1]."""
    return 2 * x - 1


def rotation(job, net, batch, ema):
    x = normalize(augment.of(job.augment)(batch['image']))
    x = torch.cat([x.rot90(k, (2, 3)) for k in range(4)])
    labels = torch.arange(4, device=x.device).repeat_interleave(job.batch)
    yield tuple(net), F.cross_entropy(net['head'](features(net, x)).float(), labels)


def scratch(job, net, batch, ema):
    x = normalize(augment.of(job.augment)(batch['image']))
    yield tuple(net), F.cross_entropy(net['head'](features(net, x)).float(), batch['label'])


def simclr(job, net, batch, ema, temperature=0.2):
    x = batch['image']
    x = normalize(augment.of(job.augment)(torch.cat([x, x])))
    z = F.normalize(net['projector'](features(net, x)).float())
    rows = torch.arange(len(z), device=z.device)
    logits = (z @ z.T / temperature).masked_fill(rows[:, None] == rows, -torch.inf)
    yield tuple(net), F.cross_entropy(logits, (rows + job.batch) % len(z))


def mae(job, net, batch, ema, mask=0.75):
    pixels = vit.patches(normalize(augment.of(job.augment)(batch['image'])), job.patch)
    count = pixels.shape[1]
    keep = torch.rand(pixels.shape[:2], device=pixels.device).argsort(1)[:, : int(count * (1 - mask))]
    made = net['decoder'](net['backbone'](pixels, keep), keep).float()
    target = (pixels - pixels.mean(2, keepdim=True)) / (pixels.var(2, keepdim=True) + 1e-6).sqrt()
    hidden = torch.ones(pixels.shape[:2], device=pixels.device).scatter(1, keep, 0.0)
    yield tuple(net), ((made - target).square().mean(2) * hidden).sum() / hidden.sum()


def sgan(job, net, batch, ema):
    view = lambda x: normalize(augment.of(job.augment)(x))
    noise = lambda: 2 * torch.rand(job.batch, NOISE, 1, 1, device=batch['image'].device) - 1
    with torch.no_grad():
        made = net['generator'](noise())
    real = net['head'](features(net, torch.cat([view(batch['labeled']), view(batch['image'])]))).float()
    fake = net['head'](features(net, made)).float()
    supervised = F.cross_entropy(real[: job.labeled], batch['label'])
    judged = F.softplus(-real[job.labeled :].logsumexp(1)).mean() + F.softplus(fake.logsumexp(1)).mean()
    yield ('backbone', 'head'), supervised + judged / 2
    with torch.no_grad():
        seen = features(net, view(batch['image'])).mean(0)
    net['backbone'].requires_grad_(False)
    made = features(net, net['generator'](noise())).mean(0)
    net['backbone'].requires_grad_(True)
    yield ('generator',), (made - seen).abs().mean()


def fixmatch(job, net, batch, ema, threshold=0.95):
    x = torch.cat([augment.crop_flip(batch['labeled']), augment.strong(batch['image'])])
    logits = net['head'](features(net, normalize(x))).float()
    with torch.no_grad():
        guess = net['head'](features(net, normalize(augment.crop_flip(batch['image'])))).float().softmax(1)
    sure, classes = guess.max(1)
    unlabeled = F.cross_entropy(logits[job.labeled :], classes, reduction='none') * (sure >= threshold)
    yield tuple(net), F.cross_entropy(logits[: job.labeled], batch['label']) + unlabeled.mean()
    torch._foreach_lerp_(ema, [p.detach() for p in net.parameters()], 1 - 0.999)


LOSSES = {f.__name__: f for f in (rotation, scratch, simclr, mae, sgan, fixmatch)}

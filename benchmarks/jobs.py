"""What is benchmarked, as plain data that ours and the peers both read; neither JAX nor PyTorch is imported here."""

from typing import NamedTuple

from benchmarks.record import known_names

CLASSES = 10
CROP, RESIZED = 'crop(4)|flip', 'random_resized_crop((0.3, 1.0))|flip'
VIEWS = 'random_resized_crop((0.2, 1.0))|flip|color_jitter(0.4, 0.4, 0.2, 0.1, p=0.8)|grayscale(0.2)'
STRONG = 'crop(4)|flip|rand_augment(2, 10)|cutout(16)'


class Job(NamedTuple):
    """A training step.

    task: rotation, simclr, mae, scratch (supervised), sgan or fixmatch. network: a backbone's name. size: pixels of a
    side. batch: images of a step, unlabelled ones where there are `labeled` ones, too. views: what the network sees of
    one of `batch` in a step. optimiser: sgd (Nesterov) or adamw. width, depth, heads, patch: of the ViT. decoder:
    width, depth and heads of MAE's decoder.
    """

    name: str
    task: str
    network: str
    size: int
    batch: int
    augment: str = CROP
    optimiser: str = 'sgd'
    labeled: int = 0
    views: int = 1
    stem: str = 'cifar'
    width: int = 0
    depth: int = 0
    heads: int = 4
    patch: int = 4
    decoder: tuple[int, int, int] = (32, 1, 2)

    @property
    def images(self) -> int:
        """Images that a step reads."""
        return self.batch + self.labeled

    @property
    def seen(self) -> int:
        """Views of images that pass the network in a step; of a GAN, the images that it reads."""
        return self.batch * self.views + self.labeled


def table(accelerator: bool) -> dict[str, Job]:
    """{name: Job}; with an accelerator some batches and the ViT are larger, and there is one more."""
    small = dict(width=128, depth=4, heads=4, patch=4, size=32, batch=64)
    vit_s = dict(width=384, depth=12, heads=6, patch=16, size=224, batch=256, decoder=(512, 8, 16), augment=RESIZED)
    large_images = 64 if accelerator else 16
    semi = dict(batch=448, labeled=64) if accelerator else dict(batch=32, labeled=16)
    jobs = (
        Job('rotation_nin', 'rotation', 'nin', 32, 128, views=4),
        Job('rotation_resnet18', 'rotation', 'resnet18', 32, 32, views=4),
        Job('simclr_resnet18', 'simclr', 'resnet18', 32, 128 if accelerator else 32, VIEWS, views=2),
        Job('rotation_alexnet', 'rotation', 'alexnet', 224, large_images, RESIZED, stem='imagenet', views=4),
        Job('scratch_mobilenet', 'scratch', 'mobilenet', 32, 64, optimiser='adamw', stem='imagenet'),
        Job('mae_vit', 'mae', 'vit', optimiser='adamw', **(vit_s if accelerator else small)),
        Job('sgan_resnet18', 'sgan', 'resnet18', 64, 64, optimiser='adamw', labeled=64, stem='imagenet'),
        Job('fixmatch_wrn28_2', 'fixmatch', 'wrn28_2', 32, views=2, **semi),
    )
    if accelerator:
        jobs += (Job('scratch_resnet50', 'scratch', 'resnet50', 224, 256, RESIZED, stem='imagenet'),)
    return {job.name: job for job in jobs}


def chosen(names, accelerator: bool, batch: int = 0) -> list[Job]:
    """The jobs of these names, by default all, with `batch` images where it is not 0.

    Raises:
      ValueError: an unknown name, or a negative batch.
    """
    if batch < 0:
        raise ValueError(f'--batch is {batch}; it must be 1 or more, or 0 for what each step has.')
    known = table(accelerator)
    known_names(names, known, 'step')
    jobs = [known[name] for name in names or known]
    return [job._replace(batch=batch) for job in jobs] if batch else jobs

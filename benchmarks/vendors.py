"""What vendors publish of accelerators, and papers of their schedules. Nothing here was measured by this project."""

from typing import NamedTuple

GB = 1e9


class Device(NamedTuple):
    """An accelerator, by its vendor's numbers.

    flop_s: peak FLOP/s in bfloat16, dense. memory, memory_s: bytes, and bytes/s, of its own memory. link_s: bytes/s
    that it sends to the others of a slice or server of `slice` devices, in an all-reduce. network_s: bytes/s that it
    sends beyond; 0 where no source was found. host: devices that a host feeds. topology: how 8, 64 and 512 devices lie,
    as `jax.experimental.topologies` names it, with the number of slices; {} where they cannot be compiled for here.
    """

    title: str
    flop_s: float
    memory: float
    memory_s: float
    link_s: float
    slice: int
    network_s: float
    host: int
    source: str
    topology: dict = {}  # noqa: RUF012


DEVICES = {
    'v5e': Device(
        'TPU v5e', 197e12, 16 * GB, 819 * GB, 51.2e12 / 256, 256, 6.4e12 / 8 / 256, 8,
        'docs.cloud.google.com/tpu/docs/v5e: 197 TFLOP/s, 16 GB at 819 GB/s, a pod of 256 with 51.2 TB/s of all-reduce '
        'bandwidth and 6.4 Tbit/s to the network',
        {8: ('v5e:2x4', 1), 64: ('v5e:8x8', 1), 512: ('v5e:16x16', 2)},
    ),
    'v6e': Device(
        'TPU v6e', 918e12, 32 * GB, 1638 * GB, 102.4e12 / 256, 256, 0.0, 8,
        'docs.cloud.google.com/tpu/docs/v6e: 918 TFLOP/s, 32 GB at 1638 GB/s, a pod of 256 with 102.4 TB/s of '
        'all-reduce bandwidth',
        {8: ('v6e:2x4', 1), 64: ('v6e:8x8', 1), 512: ('v6e:16x16', 2)},
    ),
    'h100': Device(
        'H100 SXM', 989e12, 80 * GB, 3350 * GB, 450 * GB, 8, 50 * GB, 8,
        'nvidia.com, H100 datasheet: 1,979 TFLOP/s with sparsity (half without), 80 GB at 3.35 TB/s, NVLink 900 GB/s '
        'in both directions together; DGX H100 datasheet: 400 Gbit/s of network for each GPU',
    ),
}  # fmt: skip

IMAGENET, IMAGENET_BYTES = 1_281_167, 147_897_477_120  # training images, and the size of ILSVRC2012_img_train.tar


BATCHES = {'rotation_resnet50': 2048, 'mae_vit_b': 4096}  # of the papers below, over all devices


class Schedule(NamedTuple):
    """A published training: the job whose step it repeats, and the epochs of ImageNet."""

    title: str
    job: str
    epochs: int
    source: str


SCHEDULES = (
    Schedule('RotNet, ResNet-50', 'rotation_resnet50', 35, 'Kolesnikov, Zhai & Beyer, CVPR 2019 (arXiv:1901.09005)'),
    Schedule('SimCLR, ResNet-50, short', 'simclr_resnet50', 200, 'Chen et al., ICML 2020 (arXiv:2002.05709)'),
    Schedule('SimCLR, ResNet-50', 'simclr_resnet50', 800, 'Chen et al., ICML 2020 (arXiv:2002.05709)'),
    Schedule('MAE, ViT-B, short', 'mae_vit_b', 800, 'He et al., CVPR 2022 (arXiv:2111.06377)'),
    Schedule('MAE, ViT-B', 'mae_vit_b', 1600, 'He et al., CVPR 2022 (arXiv:2111.06377)'),
)

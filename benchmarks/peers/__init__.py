"""Peers of `benchmarks.steps` in plain PyTorch: the published architectures, losses and optimisers, with as many
parameters as ours. Nothing of ssljax or JAX is imported here.

Equal: network, batch, views of an image, loss, optimiser with its weight decay, images that lie on the device as uint8
and are drawn at random. Not equal, each to the peer's advantage: no schedule of the rate, no metrics, a few tensor
operations in place of RandAugment, jitter without hue. Like JAX's default, float32 products may be TF32 on a GPU.
"""

"""Convolution and pooling in forms that XLA computes quickly on a CPU; NHWC, HWIO, square windows.

There, XLA computes ordinary convolutions and matrix products well and their relatives badly: the gradients of a strided
convolution are dilated convolutions, a filter gradient inside a loop, a depthwise convolution and an image smaller than
its kernel run in a naive loop, and pooling's gradient is a scatter. Each is written here in terms of what is fast. The
forms are exact, up to rounding and order of summation. They have their own reverse derivatives, which can be
differentiated again in reverse and mapped with `jax.vmap`; forward-mode (`jax.jvp`, `jax.hessian`) needs XLA's own.
"""

"""Losses that compare the assignments of two views to prototypes."""

import jax
import jax.numpy as jnp

from ssljax.losses.classification import soft_cross_entropy


def dino(student, teacher, centre, *, student_temperature: float, teacher_temperature):
    """Cross-entropy of the student's distribution against the teacher's, centred and sharpened, per row (DINO, Caron et
    al. 2021, arXiv:2104.14294, equations 1 and 2 and algorithm 1).

    Args:
      student, teacher: [B, K] float32 scores of two views. No gradient reaches the teacher's.
      centre: [K] float32, the running mean of the teacher's scores.
      student_temperature, teacher_temperature: above 0; the teacher's is the lower one.

    Returns:
      [B] float32.
    """
    targets = jax.nn.softmax((jax.lax.stop_gradient(teacher) - centre) / teacher_temperature)
    return soft_cross_entropy(student / student_temperature, targets)


def swav(scores, codes, temperature: float):
    """Cross-entropy of one view's softmax over prototypes against the code of another view, per row (SwAV, Caron et al.
    2020, arXiv:2006.09882, equation 2).

    scores: [B, K] float32, cosines with the prototypes; codes: [B, K] float32, rows sum to 1, from `sinkhorn`; no
    gradient reaches them; temperature: above 0. Returns [B] float32.
    """
    return soft_cross_entropy(scores / temperature, jax.lax.stop_gradient(codes))


def sinkhorn(scores, *, epsilon: float, iterations: int):
    """Codes that use all prototypes equally: the entropic optimal transport between images and prototypes (SwAV, Caron
    et al. 2020, arXiv:2006.09882, equations 3 to 5; Cuturi 2013, arXiv:1306.0895).

    Args:
      scores: [B, K] floating.
      epsilon: weight of the entropy, above 0; a small one makes the codes sharp.
      iterations: normalisations of columns and rows, 1 or more; the last one is of rows.

    Returns:
      [B, K] float32; rows sum to 1, and columns to B / K as far as the iterations have converged. Computed in log space
      in float32, which neither overflows nor loses a whole column for a small epsilon.
    """
    q = scores.astype(jnp.float32) / epsilon
    for _ in range(iterations):
        q = q - jax.nn.logsumexp(q, axis=0, keepdims=True)
        q = q - jax.nn.logsumexp(q, axis=1, keepdims=True)
    return jnp.exp(q)

"""What small pictures tell: brightness, contrast, sharpness, the colour of the border. NumPy alone."""

import numpy as np

BRIGHT, DARK = 5, 99  # percentiles: of an image that is too bright, or too dark, nearly all pixels are


def sharpness(luma) -> np.ndarray:
    """float32 [n]: the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) over that of the picture, so that
    contrast does not matter; 0 for pictures of one colour.

    Args:
      luma: uint8 [n, s, s].
    """
    x = luma.astype(np.float32)
    inner = 4 * x[:, 1:-1, 1:-1] - x[:, :-2, 1:-1] - x[:, 2:, 1:-1] - x[:, 1:-1, :-2] - x[:, 1:-1, 2:]
    spread = x.reshape(len(x), -1).var(1)
    return np.where(spread > 1, inner.reshape(len(x), -1).var(1) / np.maximum(spread, 1), 0).astype(np.float32)


def tones(luma) -> dict:
    """Of uint8 [n, s, s], gray levels float32 [n] each: 'mean', 'contrast' (standard deviation), 'low' and 'high' (the
    percentiles BRIGHT and DARK)."""
    out: dict = {name: np.empty(len(luma), np.float32) for name in ('mean', 'contrast', 'low', 'high')}
    for start in range(0, len(luma), 4096):
        x = luma[start : start + 4096].reshape(len(luma[start : start + 4096]), -1)
        part = slice(start, start + len(x))
        out['mean'][part], out['contrast'][part] = x.mean(1), x.std(1)
        place = [round(q / 100 * (x.shape[1] - 1)) for q in (BRIGHT, DARK)]
        out['low'][part], out['high'][part] = np.partition(x, place, 1)[:, place].T
    return out


def border(luma, chroma) -> np.ndarray:
    """float32 [n, 3]: mean Y, Cb and Cr of the outermost pixels."""
    mean = lambda x: (x[:, 0].mean(1) + x[:, -1].mean(1) + x[:, :, 0].mean(1) + x[:, :, -1].mean(1)) / 4
    return np.stack([mean(luma), mean(chroma[..., 0]), mean(chroma[..., 1])], 1).astype(np.float32)


def colourless(chroma, level: float = 2.0) -> np.ndarray:
    """bool [n]: whether no part of a picture has a colour."""
    return np.abs(chroma.astype(np.int16) - 128).max((1, 2, 3), initial=0) <= level

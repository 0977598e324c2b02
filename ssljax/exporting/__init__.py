"""Trained models in files for other programs, in a literal table of formats. What a module declares:

    SUFFIX      how its files end
    NEEDS       the packages that it needs, of the extra `export`, or of `tfds` where TensorFlow is among them
    write       (model, path, whether features are an output, too) -> what the JSON beside the file says of it; `model`
                as in `write` below
    read        (path, content of that JSON) -> the variables of a model, or images uint8 [N, H, W, C] -> its outputs,
                float32 [N, K] each

`write` here does what all have in common: no file is left that does not predict as the model does."""

import contextlib
import errno
import hashlib
import os
from pathlib import Path

import numpy as np

from ssljax import calibration
from ssljax.exporting import as_onnx, as_safetensors, as_stablehlo, as_tflite
from ssljax.processes import preempt
from ssljax.storage import files, paths, temporaries
from ssljax.storage.disk import disk_errors
from ssljax.text import wording

FORMATS = {
    'safetensors': as_safetensors,
    'onnx': as_onnx,
    'stablehlo': as_stablehlo,
    'tflite': as_tflite,
}
KEYS = {'format': str, 'file': dict, 'classes': list, 'model': dict}
CLOSE = 1e-4  # how far an exported model's outputs may be from the model's own
FEATURES = 'features of the layer that the head is on, pooled'
HOLDS = 'probabilities of the classes: softmax(logits / model.temperature), which is calibrated on validation images'
HOLDS_SEVERAL = (
    'probabilities of the classes, each by itself: sigmoid(logits / model.temperature), which is calibrated on '
    'validation images; an image is said to have the classes above model.threshold'
)
COUNTS = 1, 3  # images that are compared at once


def write(model, path, format: str = '', images=None, features: bool = False) -> Path:
    """Writes a model, and PATH.json beside it; see `Model.export`.

    Args:
      model: with `variables`, `config`, `info`, `classes`, `shape`, `temperature`, `read`, `answers`, `function` and
        `reopened` and `calibration`, as in ssljax.model.Model.
      path: of the file.
      format: a key of FORMATS; '' by the end of the path.
      images: further images to compare its outputs on, as for `predict`.
      features: they are also an output, and the calibration is written beside the file if the model has one.
    """
    path = Path(paths.expand(path))
    format = format or _by_suffix(path)
    module, beside = module_of(format), _beside(path)
    known = model.calibration if features else None
    more = [_calibration(path)] if known else []
    for there in (path, beside, *more):
        if os.path.lexists(there):
            raise FileExistsError(errno.EEXIST, f'{there} exists already: give another path, or remove it')
    paths.make_folder(path.parent, 'the folder of the export')
    shown = examples(model, images)
    temporary = temporaries.beside(path)
    with disk_errors(path.parent), preempt.hold():
        try:
            told = module.write(model, temporary, features)
            info = describe(model, format, told, path, temporary)
            if features and model.classes:
                (found,) = model.answers(shown[0], True)[1:]
                info |= {'features': {'dtype': 'float32', 'shape': ['N', found.shape[1]], 'holds': FEATURES}}
            compare(model, model.reopened(module.read(temporary, info), info), shown, format, features)
            if known:
                known.write(_calibration(path))
                info |= {'calibration': {'name': _calibration(path).name, 'sha256': _sha256(_calibration(path))}}
            files.write_json(beside, info)
            os.replace(temporary, path)
        except BaseException:
            for there in (beside, *more):
                with contextlib.suppress(OSError):
                    there.unlink(missing_ok=True)
            raise
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    return path


def module_of(format: str):
    """The module of a format; raises ValueError if there is none."""
    if format not in FORMATS:
        known = ', '.join(FORMATS)
        raise ValueError(f'there is no format {format!r}{wording.nearest(format, FORMATS)} (known: {known}).')
    return FORMATS[format]


def examples(model, images=None) -> list:
    """Batches uint8 [n, H, W, C] to compare outputs on: random ones, and the images that are given."""
    rng = np.random.default_rng(0)
    shown = [rng.integers(0, 256, (n, *model.shape), np.uint8) for n in COUNTS]
    (alone,), (together,) = model.answers(shown[1][:1]), model.answers(shown[1])
    if np.abs(alone - together[:1]).max() > CLOSE:
        raise ValueError(
            'what this model predicts for an image depends on the other images of its batch (a minibatch layer in its '
            'head): it cannot be exported as a function of one image.'
        )
    return shown + (list(model.read(images, COUNTS[1])) if images is not None else [])


def compare(model, other, shown: list, format: str, features: bool) -> None:
    """Raises ValueError if a model's `answers` and `other` differ by more than CLOSE on one of the batches, relative to
    the largest value if that is above 1."""
    for batch in shown:
        for expected, found in zip(model.answers(batch, features), other(batch, features), strict=True):
            distance = np.abs(expected - found).max() if expected.shape == found.shape else np.inf
            if not distance <= CLOSE * max(1.0, np.abs(expected).max()):
                raise ValueError(
                    f'the {format} file does not compute what the model does (outputs differ by up to {distance:.2g} '
                    f'on {len(batch)} images; {CLOSE:g} is allowed): nothing was written. Please report this network.'
                )


def describe(model, format: str, told: dict, path: Path, written: Path) -> dict:
    """The content of the JSON beside a file.

    Returns:
      'format'; 'file': its name, SHA-256 and what the format says of it; 'classes', in the order of the outputs;
      'input' and 'output': arrays and what they hold; 'model': the whole model.json. `write` adds 'features', a second
      output, and 'calibration', the file beside it, if there are any.
    """
    height, width, channels = model.shape
    holds = HOLDS_SEVERAL if model.multilabel else HOLDS
    kind = {1: 'gray', 3: 'RGB', 4: 'RGBA'}.get(channels, f'{channels} channels')
    return {
        'format': format,
        'file': {'name': path.name, 'sha256': _sha256(written)} | _renamed(told, written.name, path.name),
        'classes': list(model.classes),
        'precision': 'float32',
        'input': {
            'dtype': 'uint8',
            'shape': ['N', height, width, channels],
            'layout': f'NHWC, {kind}, 0 to 255; N is any number',
            'image_files': model.info['input']['resize'],
            'normalize': 'inside the graph' if format != 'safetensors' else model.info['input']['normalize'],
        },
        'output': {
            'dtype': 'float32',
            'shape': ['N', len(model.classes) or 'D'],
            'holds': holds if model.classes else 'features; there is no classifier',
            **({'activation': 'sigmoid', 'threshold': model.threshold} if model.multilabel else {}),
        },
        'model': model.info
        | {'chosen': model.chosen, 'temperature': model.temperature}
        | ({'threshold': model.threshold} if model.multilabel else {}),
    }


def read(path: Path) -> tuple:
    """(what its format's `read` returns, the content of its JSON) of a file that `write` made.

    Raises:
      FileNotFoundError: there is no JSON beside it.
      files.Damaged: either is not as it was written.
      ImportError: a package that it needs is missing.
    """
    beside = _beside(path)
    info = files.read_json(beside, KEYS)
    if info is None:
        raise FileNotFoundError(
            errno.ENOENT, f'{beside} is missing: it says what {path.name} is; copy it from where that was exported'
        )
    if info['format'] not in FORMATS:
        raise ValueError(f'{beside} names the format {info["format"]!r}; this version reads {", ".join(FORMATS)}.')
    if _sha256(path) != info['file']['sha256']:
        raise files.Damaged(path, f'its content is not what {beside.name} was written for', 'export it again')
    return FORMATS[info['format']].read(path, info), info


def calibration_of(path: Path, info: dict):
    """The Calibration beside a file, as named in its JSON; None if it was exported without.

    Raises:
      FileNotFoundError, files.Damaged: it is missing, or not the one that was written.
    """
    if 'calibration' not in info:
        return None
    beside = path.with_name(info['calibration']['name'])
    if not beside.is_file():
        raise FileNotFoundError(errno.ENOENT, f'{beside} is missing: copy it from where {path.name} was exported')
    if _sha256(beside) != info['calibration']['sha256']:
        raise files.Damaged(beside, f'its content is not that of {path.name}', 'export it again')
    return calibration.read(beside)


def _calibration(path: Path) -> Path:
    return path.with_name(f'{path.name}.{calibration.NAME}')


def _beside(path: Path) -> Path:
    return path.with_name(f'{path.name}.json')


def _by_suffix(path: Path) -> str:
    for name, module in FORMATS.items():
        if path.name.endswith(module.SUFFIX):
            return name
    ends = ', '.join(f'{module.SUFFIX} ({name})' for name, module in FORMATS.items())
    raise ValueError(f'the name {path.name!r} does not say which format: give one, or end the name in {ends}.')


def _renamed(told, old: str, new: str):
    """What a format said, with the file's name in place of the temporary one."""
    if isinstance(told, str):
        return told.replace(old, new)
    if isinstance(told, list):
        return [_renamed(v, old, new) for v in told]
    return {k: _renamed(v, old, new) for k, v in told.items()} if isinstance(told, dict) else told


def _sha256(path: Path) -> str:
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()

"""A model from a file that was exported."""

from typing import NoReturn

import numpy as np

from ssljax.model import BATCH, Model, Outputs


class Exported(Model):
    """A model from a file with its program: it predicts, and gives features if the file has them; its weights are not
    accessible. `run` maps images uint8 [n, H, W, C] to the file's outputs, float32 arrays; the rest as for Model."""

    def __init__(self, run, info: dict, chosen: str = '', calibration=None, features: bool = False):
        super().__init__({}, info, chosen, calibration)
        self._run, self.embeds = run, features or not self.classes

    def outputs(self, images: np.ndarray, batch_size: int = BATCH) -> Outputs:
        """As Model.outputs; features are None for a classifier that was exported without them."""
        if not self.embeds:
            return Outputs(self.predict(images, batch_size), None)
        return super().outputs(images, batch_size)

    def save(self, directory) -> NoReturn:
        self._refuse('weights', 'load')

    def export(self, path, format: str = '', images=None, features: bool = False) -> NoReturn:
        self._refuse('weights', 'load')

    def _runner(self, what: str):
        if what != 'predict' and not self.embeds:
            self._refuse('features', 'export it again with --features, or load')
        names = {'predict': ('logits',), 'embed': ('features',), 'outputs': ('logits', 'features')}[what]

        def run(images):
            found = self._run(images)
            named = {'features': found[-1]} | ({'logits': self._logits(found[0])} if self.classes else {})
            return named[names[0]] if len(names) == 1 else tuple(named[name] for name in names)

        return run

    def _logits(self, probabilities):
        """Up to a constant, if each image has one class."""
        with np.errstate(divide='ignore'):
            others = np.log1p(-probabilities) if self.multilabel else np.float32(0)
            return (np.log(probabilities) - others) * np.float32(self.temperature)

    def _refuse(self, what: str, advice: str) -> NoReturn:
        raise ValueError(
            f'this model was exported as a program, which gives no {what}: {advice} the run it came from, or a '
            '.safetensors file.'
        )


def of_file(found, info: dict, calibration=None) -> Model:
    """The Model for what `exporting.read` returns: variables or a function of images, and the content of its JSON."""
    if isinstance(found, dict):
        return Model(found, info['model'], calibration=calibration)
    return Exported(found, info['model'], calibration=calibration, features='features' in info)

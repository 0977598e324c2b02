"""Every field that may be left to be decided ('auto', or 0) is decided here, once a run, and with its reason."""

from typing import NamedTuple

from ssljax import fields, models
from ssljax.program import steps_a_call


class Decision(NamedTuple):
    """What was decided for a field that the config leaves open.

    field: its dotted name. value: the decision. why: the reason, for the report.
    """

    field: str
    value: object
    why: str


def resolve(config, shape, mesh) -> tuple:
    """(the config with every such field decided, the Decisions).

    What depends on the label set of a seed is decided with it: the labelled images of a semi-supervised step
    (`stages.labeled_batch`), how long a stage without a duration is (`config.stage_steps`), and whether its images lie
    in memory (`feed.make_feed`). The record of each stage has them.

    Args:
      config: the run's.
      shape: (H, W, C) of the images.
      mesh: the devices.
    """
    decided = [*_backbone(config.backbone, shape), *_device(config, mesh)]
    resolved = config.copy_and_resolve_references()
    resolved.update_from_flattened_dict({d.field: d.value for d in decided})
    return resolved, decided


def _backbone(config, shape) -> list[Decision]:
    """The stem, by the image; and what an option of 0 stands for."""
    options, found = models.BACKBONES[config.name].OPTIONS, []
    stem = models.stem_for(config, shape)
    if 'stem' in options and stem != config.stem:
        side = min(shape[:2])
        why = f'images are {side} pixels, {"below" if side < 64 else "not below"} 64'
        found.append(Decision('backbone.stem', stem, why))
    usual = {name: fields.of(field).usual for name, field in options.items() if fields.of(field).usual is not None}
    why = f'what {config.name} usually has'
    return found + [Decision(f'backbone.{k}', v, why) for k, v in usual.items() if config[k] == 0]


def _device(config, mesh) -> list[Decision]:
    platform = mesh.devices.flat[0].platform
    cpu, why = platform == 'cpu', f'the device is a {platform.upper()}'
    found = []
    if config.backbone.conv == 'auto':
        found.append(Decision('backbone.conv', 'fast' if cpu else 'xla', why))
    if config.steps_per_call == 0:
        slow = ', on which steps in a compiled loop are slow' if cpu else ', which is idle between short calls'
        found.append(Decision('steps_per_call', steps_a_call(mesh), why + slow))
    return found

"""Every field that may be left to be decided ('auto', or 0) is decided here, once a run, and with its reason."""

from typing import NamedTuple

from ssljax import models
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
    decided = [*_stem(config, shape), *_device(config, mesh)]
    resolved = config.copy_and_resolve_references()
    resolved.update_from_flattened_dict({d.field: d.value for d in decided})
    return resolved, decided


def _stem(config, shape) -> list[Decision]:
    stem = models.stem_for(config.backbone, shape)
    if stem == config.backbone.stem:
        return []
    side = min(shape[:2])
    return [Decision('backbone.stem', stem, f'images are {side} pixels, {"below" if side < 64 else "not below"} 64')]


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

"""What still fits into the minutes of a run that has a time."""

import math
import time

from ssljax.config import base
from ssljax.progress import elapsed, minutes
from ssljax.storage import files


def begun(workdir, minutes, spent):
    config = base()
    config.answer.minutes = minutes
    elapsed.begin(workdir, time.time() - spent)
    return config


def test_a_seed_begins_only_if_it_fits_as_the_others_did(tmp_path):
    config = begun(tmp_path, 10.0, 300)
    for stage, seconds in (('scratch', 100.0), ('finetune', 80.0)):
        files.write_json(tmp_path / f'seed0/{stage}/done.json', {'seconds': seconds})
    assert minutes.seed_fits(config, tmp_path, 1)  # 180 of 300, less 48 in reserve
    config = begun(tmp_path, 7.0, 300)
    assert not minutes.seed_fits(config, tmp_path, 1) and minutes.seed_fits(config, tmp_path, 0)
    assert 100 < minutes.left(config, tmp_path) < 130


def test_without_a_time_everything_fits(tmp_path):
    config = begun(tmp_path, 0.0, 1e6)
    assert minutes.left(config, tmp_path) == math.inf and minutes.seed_fits(config, tmp_path, 5)

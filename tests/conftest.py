"""Fixtures that several tests share."""

import gc
import os
from pathlib import Path

import jax
import pytest
from absl import logging
from hypothesis import HealthCheck, settings

from ssljax.config import base
from ssljax.devices import environment, platform
from ssljax.devices.sharding import make_mesh
from tests import pages
from tests.command import run

# Tests compile much and run little of it: quickly compiled, it takes a quarter of the time and runs at half the speed.
QUICK = (
    '--xla_backend_optimization_level=0', '--xla_llvm_disable_expensive_passes=true',
    '--xla_cpu_use_fusion_emitters=false', '--xla_cpu_parallel_codegen_split_count=1',
)  # fmt: skip
os.environ.setdefault('XLA_FLAGS', ' '.join(environment.known_flags(QUICK)))
# What one test has compiled, the others, in this process or another, do not compile again.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(Path(__file__).parents[1] / '.pytest_cache/compiled'))
platform.sound_reductions()
platform.keep_compiled()
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.02)

# Whether a change passes is no matter of chance: hypothesis tries the same examples each time, however long they take.
# `--hypothesis-profile=new` looks for others.
settings.register_profile('same', derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile('new', settings.get_profile('same'), derandomize=False)
settings.load_profile('same')

SHARED = Path(__file__).resolve().parent.parent.parent / 'shared/data'


def pytest_collection_finish():
    """What is imported stays: looking through it again and again for garbage takes a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def verbosity():
    """Commands that run in this process leave theirs: a warning that a later test looks for would not be printed."""
    level = logging.get_verbosity()
    yield
    logging.set_verbosity(level)


@pytest.fixture(scope='session')
def mesh():
    return make_mesh()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def drawn():
    """For a test that looks at the page of its run: with `config` alone none is drawn."""


@pytest.fixture
def config(request):
    """A whole run that takes seconds: synthetic 8x8 images, a handful of steps."""
    c = base()
    c.name = 'tiny'
    c.data.source = 'synthetic:8x8x1:3'
    c.data.labels = '10/class'
    c.data.val = '60'
    c.pretrain.update(epochs=0.0, steps=12, evals=2, batch_size=16)
    c.transfer.batch_size = 16
    c.transfer.frozen.update(epochs=0.0, steps=6, evals=3)
    c.transfer.second.update(epochs=0.0, steps=6, evals=2)
    c.evaluate.update(batch_size=100, figures=False, reference=0)
    c.log_every = 4
    with pytest.MonkeyPatch.context() as patch:
        if 'drawn' not in request.fixturenames:
            pages.leave_out(patch)
        yield c


@pytest.fixture
def study(config):
    """Two budgets, two ways and two seeds: eight cells."""
    config.seeds = (0, 1)
    config.transfer.ways = ('scratch', 'finetune')
    config.study.labels = ('2/class', '10/class')
    config.study.together = 1  # which is faster, and so the rounding, may differ from run to run
    return config


@pytest.fixture(scope='session')
def shared_data():
    """The folder of real images; a test that wants one of its files skips where it is missing."""

    def find(name):
        if not (SHARED / name).exists():
            pytest.skip(f'{name} is not in ../shared/data')
        return SHARED / name

    return find


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
    """(workdir, process) of a run by the command."""
    workdir = tmp_path_factory.mktemp('finished')
    done = run(workdir)
    assert done.returncode == 0, done.stderr
    return workdir, done

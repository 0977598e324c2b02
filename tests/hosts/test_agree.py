"""Processes of one run that were given different things: they are told so before anything is trained."""

import copy
import subprocess
import sys

import numpy as np
import pytest

from ssljax.processes import hosts
from ssljax.records import identity
from tests.command import ROOT, once
from tests.hosts.processes import FLAGS, SMALL, environments


def outcomes(workdir, flags_of_each, places=(ROOT, ROOT)):
    """[(exit code, what it printed)] of two processes, each in a folder."""
    command = [sys.executable, '-m', 'ssljax.main', '--config=quickstart', f'--workdir={workdir}']
    command += once(*FLAGS, *SMALL)
    started = [
        subprocess.Popen(
            [*command, *own], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for own, env, cwd in zip(flags_of_each, environments(2, 1), places, strict=True)
    ]
    said = [process.communicate(timeout=240)[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said)]


def refused(workdir, found, text):
    assert [code for code, _ in found] == [1, 1], found
    said = ''.join(text for _, text in found)
    assert said.count('error: ') == 1 and 'Traceback' not in said and text in said, said
    assert not list(workdir.glob('seed*'))


def test_another_config_in_one_process(tmp_path):
    found = outcomes(tmp_path / 'run', ([], ['--config.transfer.scratch.optim.lr=0.3']))
    said = 'process 1 of 2 has a different config from process 0 (transfer.scratch.optim.lr: '
    refused(tmp_path / 'run', found, said)


def test_another_label_in_one_process(tmp_path):
    """As where the copy of the data on one machine is an older one."""
    rng, labels, places = np.random.default_rng(0), np.arange(40) % 2, [tmp_path / '0', tmp_path / '1']
    images = rng.integers(0, 256, (40, 8, 8), np.uint8)
    for i, place in enumerate(places):
        place.mkdir()
        np.savez(place / 'data.npz', train_images=images, train_labels=(labels + i * (np.arange(40) == 7)) % 2)
    flags = ['--config.data.source=npz:data.npz', '--config.data.labels=8', '--config.data.val=8']
    found = outcomes(tmp_path / 'run', (flags, flags), places)
    refused(tmp_path / 'run', found, 'process 1 of 2 has different data from process 0 (')


@pytest.mark.parametrize('what', ['config', 'data'])
def test_any_difference_is_found(what, monkeypatch):
    mine = {'a': 1, 'given': {'x': 'sha'}, 'b': {'c': (1, 2), 'd': None}}
    for path in (('a',), ('given', 'x'), ('b', 'd')):
        other = copy.deepcopy(mine)
        place = other
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = 'changed'
        monkeypatch.setattr(hosts, 'gather', lambda found, other=other: [found, found, other])
        with pytest.raises(ValueError, match=f'process 2 of 3 has (a different|different) {what}') as caught:
            identity.agree(what, mine)
        assert '.'.join(path) in str(caught.value)
    monkeypatch.setattr(hosts, 'gather', lambda found: [found, copy.deepcopy(found)])
    identity.agree(what, mine)

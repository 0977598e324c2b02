"""The examples of CONTRIBUTING.md work as they stand there."""

import ast
import json
import re
import sys
import types
from pathlib import Path

import numpy as np

from ssljax import methods, optim, verbs
from ssljax.config import base
from ssljax.report import page
from tests import steps

ROOT = Path(__file__).resolve().parent.parent
MIRROR, OPTIMISM, COUNTS = re.findall(r'^```python\n(.*?)^```$', (ROOT / 'CONTRIBUTING.md').read_text(), re.M | re.S)


def test_every_file_that_is_named_is_there():
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    named = re.findall(r'\]\((\S+?)\)', text) + re.findall(r'`((?:tests|configs|ssljax)/[\w/]+\.py)`', text)
    made = {'ssljax/methods/mirror.py', 'ssljax/report/optimism.py', 'ssljax/counts.py', 'ssljax/VERB.py'}
    assert [name for name in named if name not in made and not (ROOT / name).exists()] == []


def test_the_pretext_method_of_the_guide_learns(monkeypatch, key):
    module = types.ModuleType('mirror')
    exec(MIRROR, module.__dict__)
    monkeypatch.setitem(methods.PRETEXT, 'mirror', module)
    config, shape = base(), (8, 8, 1)
    config.pretrain.update(method='mirror', pool='flatten')
    method = methods.pretext(config, shape)
    ramp = np.tile(np.arange(0, 240, 30, np.uint8), (16, 8, 1))[..., None]
    batch = {'image': ramp, 'label': np.full(16, -1, np.int32), 'mask': np.ones(16, np.float32)}
    tx, _ = optim.make(config.pretrain.optim, 20)
    ts, found = steps.train(method, tx, steps.begin(method, tx, batch, key), batch, key)
    losses = [metrics['loss'] for metrics in found]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    assert steps.compiled(method.measure)(ts.params, ts.state, batch)['loss'][1] == 16


def test_the_figure_of_the_guide_stands_on_the_page(tmp_path, monkeypatch):
    module = types.ModuleType('optimism')
    exec(OPTIMISM, module.__dict__)
    monkeypatch.setattr(page, 'SECTIONS', (module.optimism,))
    seed = lambda i, val, test: {'seed': i, 'ways': {'scratch': {'val': {'top1': val}, 'test': {'top1': test}}}}  # noqa: E731
    (tmp_path / 'result.json').write_text(json.dumps({'seeds': [seed(0, 0.84, 0.75), seed(1, 0.86, 0.77)]}))
    html = page.write(tmp_path).read_text()
    assert 'Optimism' in html and '85.00 ± 1.41' in html and '76.00 ± 1.41' in html
    assert module.optimism(types.SimpleNamespace(result={'seeds': []})) is None


def test_the_verb_of_the_guide_prints_its_help_and_what_it_should(monkeypatch, tmp_path, capsys):
    (tmp_path / 'data.json').write_text('{"counts": {"train": 7}}')
    monkeypatch.setattr(verbs, 'begin', lambda verb: None)
    monkeypatch.setattr(sys, 'argv', ['ssljax counts', str(tmp_path)])
    exec(compile(COUNTS, 'counts.py', 'exec'), {'__name__': '__main__'})
    assert capsys.readouterr().out == 'train 7\n'
    lines = ast.get_docstring(ast.parse(COUNTS)).splitlines()
    assert lines[2].startswith('usage: ssljax counts') and lines[-1].startswith('example: ')

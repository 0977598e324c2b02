"""A guard ends the way that it stops, and what starts from it, and nothing else."""

import json

import numpy as np
import pytest

from ssljax import experiment, guard, main
from ssljax import report as reports
from ssljax.records import result
from ssljax.report import embed, runs
from ssljax.report.headline import headline
from ssljax.studies import worker

NOT_FINITE = 'the loss or its gradient is not finite'


def done(workdir):
    return {path.parent.name for path in workdir.glob('seed0/*/done.json')}


@pytest.mark.usefixtures('drawn')
def test_one_way_that_diverges_leaves_the_others_their_results(config, tmp_path, capsys, monkeypatch):
    config.transfer.ways = ('scratch', 'frozen', 'finetune', 'two_stage', 'slow')
    config.transfer.frozen.optim.lr = 1e30
    config.variants = (('slow', 'two_stage', (('transfer.second.optim.lr', 1e-3),)),)
    config.evaluate.figures = True
    monkeypatch.setattr(embed, 'FEWEST_FOR_UMAP', 10**6)  # which takes long to compile
    found = experiment.run(config, tmp_path)
    said = capsys.readouterr()
    stopped = found['seeds'][0]['stopped']
    assert {name: entry['kind'] for name, entry in stopped.items()} == {
        'frozen': 'diverged', 'two_stage': 'not trained', 'slow': 'not trained',
    }  # fmt: skip
    assert NOT_FINITE in stopped['frozen']['why'] and 'offending_batch.npz' in stopped['frozen']['why']
    assert stopped['slow']['why'] == stopped['two_stage']['why'] == 'starts from frozen, which diverged'
    assert set(found['summary']) == {'scratch', 'finetune'} and found['summary']['scratch']['seeds'] == 1
    with np.load(tmp_path / 'seed0/frozen/offending_batch.npz') as batch:
        assert batch['step'] == stopped['frozen']['step'] - 1
    assert said.err.count(NOT_FINITE) == 1 and said.out.count(NOT_FINITE) == 1
    assert 'Two-stage: not trained, starts from frozen, which diverged' in said.out
    page = (tmp_path / 'report.html').read_text()
    assert 'starts from frozen, which diverged' in page and 'Confusion matrix' in page and 'Learning curves' in page

    (tmp_path / 'seed0/evaluation.json').unlink()
    before = (tmp_path / 'seed0/frozen/metrics.jsonl').stat().st_mtime_ns
    again = experiment.run(config, tmp_path)
    assert again['summary'] == found['summary'] and again['seeds'][0]['stopped'] == stopped
    assert (tmp_path / 'seed0/frozen/metrics.jsonl').stat().st_mtime_ns == before
    compared = runs.compare_runs([tmp_path, tmp_path])
    assert compared.count(f'Without a result in {tmp_path}: Frozen features diverged (seed 0); Two-stage not ') == 2


def test_ways_that_need_no_pretraining_survive_one_that_diverges(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(embed, 'FEWEST_FOR_UMAP', 10**6)
    config.pretrain.optim.lr = 1e20
    config.transfer.ways = ('scratch', 'finetune')
    config.evaluate.figures = True
    found = experiment.run(config, tmp_path)
    stopped = found['seeds'][0]['stopped']
    assert stopped['pretrain']['kind'] == 'diverged' and set(found['seeds'][0]['ways']) == {'scratch'}
    assert stopped['finetune']['why'] == 'starts from the pretraining, which diverged'
    assert set(found['seeds'][0]['probe']) == set(found['seeds'][0]['knn']) == {'random'}
    assert 'Pretraining: diverged' in capsys.readouterr().out


def test_where_nothing_is_left_the_run_is_an_error(config, tmp_path, capsys):
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch', 'mean_teacher')
    config.transfer.scratch.optim.lr = 1e20
    config.transfer.augment = 'crop(1)'
    config.semi.update(start='scratch', epochs=0.0, steps=4)
    for _ in range(2):
        with pytest.raises(guard.Stopped, match='seed 0 · scratch, step 2: ' + NOT_FINITE) as error:
            experiment.run(config, tmp_path)
        assert main.raised_by_us(error.value)
    assert not (tmp_path / 'result.json').exists() and done(tmp_path) == set()


def test_a_semi_supervised_way_whose_start_diverges_is_not_trained(config, tmp_path):
    """The start is no way of the run itself, and the other way starts elsewhere."""
    config.pretrain.method = 'none'
    config.transfer.ways = ('noisy_student', 'pseudo_label')
    config.transfer.scratch.optim.lr = 1e20
    config.transfer.augment = 'crop(1)'
    config.semi.update(epochs=0.0, steps=4, evals=1, strong='cutout(3)', batch_size=16)
    found = experiment.run(config, tmp_path)
    assert found['seeds'][0]['stopped'] == {
        'noisy_student': {'kind': 'not trained', 'why': 'starts from scratch, which diverged', 'step': 0}
    }
    assert set(found['seeds'][0]['ways']) == {'pseudo_label'}


def test_leaked_labels_end_everything(config, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment.ways, 'train_way', lambda *a: guard.hidden(np.array([1])))
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch',)
    with pytest.raises(guard.Leak, match='carry their label'):
        experiment.run(config, tmp_path)


def test_a_way_with_results_of_some_seeds_says_of_how_many():
    def seed(number, **ways):
        stopped = {} if 'finetune' in ways else {'finetune': {'kind': 'diverged', 'why': 'step 3: x', 'step': 3}}
        scores = {w: {'test': {'top1': v}, 'val': {'top1': v}, 'steps': 3} for w, v in ways.items()}
        return {'seed': number, 'ways': scores} | ({'stopped': stopped} if stopped else {})

    seeds = [seed(0, scratch=0.5), seed(1, scratch=0.6, finetune=0.8), seed(2, scratch=0.7, finetune=0.7)]
    found = result.summarise(seeds)
    assert found['summary']['finetune']['seeds'] == 2 and found['summary']['finetune']['top1']['values'] == [0.8, 0.7]
    assert found['versus_scratch']['finetune']['values'] == pytest.approx([0.2, 0.0])
    whole = {'name': 'x', 'seeds': seeds, 'config': {}} | found
    text = reports.table(whole)
    assert text.count('(2 of 3)') == 2 and 'seed 0 · Fine-tuned: diverged, step 3: x' in text
    assert 'over 2 seeds' in headline(whole) and reports.table(json.loads(json.dumps(whole))) == text


def test_a_cell_of_a_study_that_diverges_fails_alone(config, tmp_path, capsys):
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch', 'fast')
    config.variants = (('fast', 'scratch', (('transfer.scratch.optim.lr', 1e20),)),)
    for _ in range(2):
        with pytest.raises(ValueError, match='1 of 2 cells stopped.*step 2: ' + NOT_FINITE):
            worker.run(config, tmp_path)
    assert (tmp_path / 'rows.csv').read_text().count('\n') == 2
    assert 'fast · 10/class · seed 0: stopped: step 2' in capsys.readouterr().err

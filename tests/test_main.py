"""The command itself: errors and signals, as a user meets them; kills are in tests/slow."""

import json
import re
import shutil
import signal
import sys

import pytest
from absl import flags

import ssljax
from ssljax import api, main, model_json
from ssljax.processes import preempt
from ssljax.progress.log import read
from ssljax.storage import checkpoint, files
from tests.command import acted, command, outcome, ready_for_signals, run, same


def test_a_run_writes_its_result(finished):
    workdir, done = finished
    assert 'From scratch' in done.stdout and 'report.html' in done.stdout
    result = json.loads((workdir / 'result.json').read_text())
    assert set(result['summary']) == {'random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage'}
    assert result['data']['counts'] | {'labeled': 30, 'val': 60} == result['data']['counts']
    assert list((workdir / 'seed0/pretrain').glob('events.out.tfevents*'))
    pretrain = read(workdir / 'seed0/pretrain/metrics.jsonl')
    assert [r['step'] for r in pretrain if 'val/top1' in r] == [10, 20, 30]
    assert 'Traceback' not in done.stderr and 'Warning' not in done.stderr


def test_a_finished_run_is_not_done_again(finished):
    workdir, _ = finished
    before = outcome(workdir)
    stamp = (workdir / 'seed0/evaluation.json').stat().st_mtime_ns
    assert run(workdir).returncode == 0
    same(before, outcome(workdir))
    assert (workdir / 'seed0/evaluation.json').stat().st_mtime_ns == stamp


def test_two_runs_do_not_share_a_workdir(tmp_path):
    with files.lock(tmp_path):
        done = run(tmp_path)
    assert done.returncode == 1 and 'another run is using' in done.stderr


def test_another_config_is_refused_with_the_difference(finished):
    done = run(finished[0], '--config.pretrain.optim.lr=0.25')
    assert done.returncode == 1
    assert 'pretrain.optim.lr: 0.05 -> 0.25' in done.stderr and 'Traceback' not in done.stderr


WRONG = (
    ('--config.pretrain.epoch=2', 'did you mean pretrain.epochs?'),
    ('--config.data.labels=100000', '100000'),
    ('--config.pretrain.epochs=many', 'epochs'),
    ('--config.data.source=folder:/nowhere', '/nowhere'),
    ('--config.backbone.name=rsnet18', "did you mean 'resnet18'"),
    ('--config.pretrain.method=rotaton', 'did you mean rotation?'),
    ('--config.pretrain.augment=crp(4)', 'crop'),
    ('--config.transfer.layer=conv9', 'conv9'),
    ('--config.transfer.checkpoint=/nowhere', 'no checkpoint at /nowhere'),
    ('--config=configs/nothing.py', 'nothing.py'),
    ('--nonsense', 'nonsense'),
)


def one_message(code, message, said):
    assert code in (1, 2)
    assert said in message and 'Traceback' not in message
    assert len(re.findall('^error:', message, re.M)) == 1


@pytest.mark.parametrize('flag, said', WRONG[:2])
def test_a_mistake_of_each_exit_code_in_a_process(tmp_path, flag, said):
    done = run(tmp_path, flag)
    one_message(done.returncode, done.stderr.strip(), said)


@pytest.mark.parametrize('flag, said', WRONG[2:])
def test_what_a_user_can_get_wrong_is_one_clear_message(tmp_path, monkeypatch, capfd, flag, said):
    """In this process, whose signals and allocator stay as they are."""
    for module, name in ((main.preempt, 'install'), (main.platform, 'enter'), (main.console, 'prepare')):
        monkeypatch.setattr(module, name, lambda: None)
    monkeypatch.setattr(main.os, '_exit', sys.exit)
    try:
        main.parse(command(tmp_path, flag)[2:])
        code = main.command(api.train)
    except SystemExit as end:
        code = end.code
    finally:
        flags.FLAGS.unparse_flags()
    one_message(code, capfd.readouterr().err.strip(), said)


def test_transfer_from_another_run(finished, tmp_path):
    done = run(tmp_path, f'--config.transfer.checkpoint={finished[0]}', "--config.transfer.ways=('frozen',)",
               '--config.transfer.layer=conv1')  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / 'seed0/pretrain').exists()
    other = run(tmp_path / 'b', f'--config.transfer.checkpoint={finished[0]}', '--config.backbone.name=nin',
                '--config.backbone.blocks=3')  # fmt: skip
    assert other.returncode == 1 and 'a different architecture' in other.stderr


def test_transfer_from_a_saved_model(finished, tmp_path):
    saved = ssljax.load(finished[0], way='pretrain').save(tmp_path / 'saved')
    done = run(tmp_path / 'a', f'--config.transfer.checkpoint={saved}', "--config.transfer.ways=('frozen',)")
    assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / 'a')[1]['frozen'] == outcome(finished[0])[1]['frozen']


@pytest.mark.parametrize('way', ['pretrain', 'scratch', 'frozen', 'two_stage'])
def test_a_checkpoint_says_how_it_was_trained_saved_alone_or_not(finished, tmp_path, way):
    saved = ssljax.load(finished[0], way=way).save(tmp_path / 'saved')
    stage, alone = (checkpoint.load_meta(place) for place in (finished[0] / f'seed0/{way}', saved))
    assert model_json.trained_by(stage) == model_json.trained_by(alone) == {'pretrain': 'rotation'}.get(way, way)
    assert alone['data']['shape'] == stage['data']['shape'] == [8, 8, 1]


def test_ctrl_c_during_the_imports_is_one_line(tmp_path):
    code, said = acted(
        tmp_path / 'a',
        lambda process: process.send_signal(signal.SIGINT),
        lambda _, process: ready_for_signals(process),
    )
    assert code == 130 and said == 'stopped; nothing was started\n'


def test_a_run_that_is_stopped_in_its_evaluation_goes_on_to_the_same_numbers(finished, tmp_path):
    workdir = tmp_path / 'a'
    shutil.copytree(finished[0], workdir)
    for name in ('result.json', 'report.html', 'seed0/evaluation.json'):
        (workdir / name).unlink()
    code, said = acted(
        workdir, lambda process: process.send_signal(signal.SIGTERM), lambda said, _: 'evaluation' in said
    )
    assert code == preempt.RESUME and 'rerun the same command to resume' in said and 'Traceback' not in said
    assert not (workdir / 'result.json').exists()
    assert run(workdir).returncode == 0
    same(outcome(finished[0]), outcome(workdir))


def test_a_workdir_that_is_deleted_ends_the_run_with_an_error(finished, tmp_path):
    workdir = tmp_path / 'a'
    shutil.copytree(finished[0], workdir)
    (workdir / 'seed0/evaluation.json').unlink()
    # Renamed first: a folder that the run still writes to while it is being removed may stay.
    delete = lambda process: shutil.rmtree(workdir.rename(tmp_path / 'b'))
    code, said = acted(workdir, delete, lambda said, _: 'evaluation' in said)
    assert code == 1 and 'deleted, moved or replaced' in said and 'Traceback' not in said
    assert not workdir.exists()

"""What is said while a command works."""

import re
import sys
import time

import pytest

from ssljax import experiment, seeds
from ssljax.data import memory
from ssljax.progress import log, say
from ssljax.progress.timer import Timer


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, 'monotonic', lambda: self.now)

    def passes(self, seconds):
        self.now += seconds


def test_the_time_left_counts_neither_compilation_nor_evaluation(monkeypatch):
    clock = Clock(monkeypatch)
    timer = Timer()
    clock.passes(100)  # compiling
    timer.lap(10)
    assert timer.left(90, 2) is None
    clock.passes(5)
    timer.lap(20)
    assert timer.left(80, 2) == pytest.approx(40)
    clock.passes(60)  # the first evaluation, which compiles
    timer.start(20)
    clock.passes(5)
    timer.lap(30)
    assert timer.left(70, 2) == pytest.approx(35)
    clock.passes(3)
    timer.start(30)
    clock.passes(5)
    timer.lap(40)
    assert timer.left(60, 2) == pytest.approx(30 + 2 * 3)


def test_a_batch_job_gets_ever_fewer_lines_with_the_rate_and_no_bar(tmp_path, capsys, monkeypatch):
    clock = Clock(monkeypatch)
    lines = log.MetricLog(tmp_path, 'stage', 36000, 0)
    for second in range(1, 36001):
        clock.passes(1)
        lines.progress(second)
    lines.rate = 1234.5
    lines.shown = 0
    lines.progress(36000)
    said = capsys.readouterr().err.splitlines()
    assert 40 < len(said) < 90 and '1,234 images/s' in said[-1] and not any('█' in line or '░' in line for line in said)


def test_a_terminal_gets_a_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    lines = log.MetricLog(tmp_path, 'stage', 100, 0)
    lines.write(50, {'train/loss': 1.0}, 75.0, 320.0)
    said = capsys.readouterr().err
    assert said.startswith('\r\x1b[K') and '██████░░░░░░' in said and '320 images/s · 1:15 left' in said


def test_before_a_rate_is_known_no_time_is_said(tmp_path, capsys):
    lines = log.MetricLog(tmp_path, 'stage', 100, 0)
    lines.progress(0, 'compiling')
    lines.shown = 0
    lines.write(10, {'train/loss': 1.0})
    lines.shown = 0
    lines.write(20, {'train/loss': 1.0}, 75.0)
    lines.close(100)
    said = [re.sub(' +', ' ', line) for line in capsys.readouterr().err.splitlines()]
    assert said[:3] == [
        'stage 0/100 · compiling', 'stage 10/100 · train/loss 1.000', 'stage 20/100 · train/loss 1.000 · 1:15 left',
    ]  # fmt: skip
    assert re.fullmatch(r'stage 100/100 · train/loss 1.000 · 0:0\d', said[3])


def test_what_takes_long_is_counted(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    memory.parallel(lambda start, stop: clock.passes(4), 100, 25, 1, 'decoding images')
    assert re.match(r'decoding images: \d+ of 100\n', capsys.readouterr().err)
    memory.parallel(lambda start, stop: clock.passes(4), 100, 25, 1)
    memory.parallel(lambda start, stop: None, 100, 25, 1, 'decoding images')
    assert capsys.readouterr().err == ''


def test_a_terminal_has_one_line_that_is_written_over(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    say.status('one')
    say.status('')
    assert capsys.readouterr().err == '\r\x1b[Kone\r\x1b[K'


@pytest.mark.usefixtures('drawn')
def test_evaluation_and_report_say_what_they_do(config, tmp_path, capsys):
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch',)
    config.evaluate.knn = 5
    experiment.run(config, tmp_path)
    said = capsys.readouterr().err
    evaluation = 'evaluation: validation and test images', 'features of every layer', 'linear probes'
    for words in (*evaluation, 'report: tables and plots'):
        assert words in said
    assert 'UMAP' not in said  # there are no features to draw
    source = experiment.sources.load(config.data)
    seeds.evaluate_seed(experiment.prepare(config, tmp_path / 'quiet', source, quiet=True), 0)
    assert capsys.readouterr().err == ''

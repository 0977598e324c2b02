"""What a process that is measured answers, with a clock that is made up."""

import io
import json
import sys

import pytest

from benchmarks import worker


@pytest.fixture
def served(monkeypatch, capsys):
    """(seconds of a step, lines) -> (what was answered, the steps of each call)."""

    def serve(each, *lines):
        clock, calls = [0.0], []

        def run(steps):
            calls.append(steps)
            clock[0] += steps * each
            return steps

        monkeypatch.setattr(worker.time, 'perf_counter', lambda: clock[0])
        monkeypatch.setattr(sys, 'stdin', io.StringIO('\n'.join(lines)))
        worker.serve({'ready': 1}, run, lambda: {'end': 1})
        return [json.loads(line[1:]) for line in capsys.readouterr().out.splitlines()], calls

    return serve


def test_as_many_steps_as_fit(served):
    said, calls = served(0.5, 'warm 4', 'go 2.9', 'stop')
    assert said == [{'ready': 1}, {'steps': 8, 'seconds': 4.0}, {'steps': 5, 'seconds': 2.5}, {'end': 1}]
    assert calls == [1, 1, 8, 5]


def test_a_long_step_is_not_warmed_up_again_and_measured_once_a_round(served):
    said, calls = served(4.0, 'warm 2', 'go 1', 'go 1')
    assert said == [{'ready': 1}, {'steps': 0, 'seconds': 0.0}] + 2 * [{'steps': 1, 'seconds': 4.0}]
    assert calls == [1, 1, 1, 1]

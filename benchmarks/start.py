"""How long a run takes from the command to its first training step, in parts, with a cold and a warm compilation cache.

    python -m benchmarks.start [--whole] [--config=configs/quickstart.py] [--runs=3]
      [--out=benchmarks/results/start.json] [--config.FIELD=VALUE ...]

What is timed is the ordinary command, ended after its first step; with --whole, to its end, as whole.json. When each
file of the run appears says where the time went, and what the run keeps of its stages. Run it alone on the machine.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import begin
from benchmarks.worker import ROOT
from ssljax.progress import log
from ssljax.storage import files

SPENT = 'compile', 'input', 'steps', 'evaluate', 'save'
_COMPILED = re.compile(r'Finished XLA compilation of .+? in ([\d.]+) sec')


def start(config: str, flags=(), *, cache) -> dict:
    """Starts the run once and ends it after its first step (on an accelerator its first call of 10 steps).

    Args:
      config: a recipe, as `--config` has it.
      flags: further flags of the command.
      cache: directory of the compilation cache; an empty one is cold.

    Returns:
      Seconds: 'imports', from the start of the process until the config is checked and kept; 'data', from there until
      the images are read and the device is started; 'compile', all of XLA's compilations, or their reading from the
      cache; 'other', the rest: the label set, tracing and lowering, initial weights, the step itself; 'total', their
      sum; 'cpu', of all cores, user and system.

    Raises:
      RuntimeError: the run ended before its first step.
    """
    environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': str(cache), 'JAX_LOG_COMPILES': '1'}
    before = _children()
    with tempfile.TemporaryDirectory() as workdir, tempfile.TemporaryFile('w+') as said:
        command = [sys.executable, '-m', 'ssljax.main', f'--config={config}', f'--workdir={workdir}', *flags]
        began = time.time()
        process = subprocess.Popen([*command, '--config.log_every=1'], cwd=ROOT, env=environment, stderr=said)
        try:
            while not (stepped := any(log.read(f) for f in Path(workdir).glob('seed*/*/metrics.jsonl'))):
                if process.poll() is not None:
                    break
                time.sleep(0.005)
            total = time.time() - began
            marks = [(Path(workdir) / name).stat().st_mtime - began for name in ('config.json', 'data.json') if stepped]
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        text = said.read()
    if not stepped:
        raise RuntimeError(f'the run ended with code {process.returncode} before its first step:\n{text[-2000:]}')
    found = {'imports': marks[0], 'data': marks[1] - marks[0], 'compile': sum(map(float, _COMPILED.findall(text)))}
    found['other'] = total - sum(found.values())
    return found | {'total': total, 'cpu': _children() - before}


def whole(config: str, flags=(), *, cache) -> dict:
    """Does the run once, to its end; arguments as for `start`.

    Returns:
      Seconds: 'imports' and 'data' as `start` has them; of all stages, as `goodput.Spent` has them, 'compile', which is
      tracing, too, 'input', 'steps', 'evaluate' and 'save'; 'evaluation', from the last stage's end until result.json
      is there: of the chosen weights, with its compilation; 'report', from there to the end of the process; 'other',
      the rest: label sets, initial weights, checkpoints that are begun and kept; 'total', their sum; 'cpu', of all
      cores, user and system.

    Raises:
      RuntimeError: the run failed.
    """
    environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': str(cache)}
    before = _children()
    with tempfile.TemporaryDirectory() as directory:
        workdir = Path(directory) / 'run'
        command = [sys.executable, '-m', 'ssljax.main', f'--config={config}', f'--workdir={workdir}', *flags]
        began = time.time()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        total = time.time() - began
        if done.returncode:
            raise RuntimeError(f'the run ended with code {done.returncode}:\n{done.stderr[-2000:]}')
        at = lambda path: path.stat().st_mtime - began
        config_at, data_at, result_at = (at(workdir / f'{name}.json') for name in ('config', 'data', 'result'))
        ended = list(workdir.glob('seed*/*/done.json'))
        trained_at, stages = max(map(at, ended)), [json.loads(path.read_text()) for path in ended]
    spent = {kind: sum(stage['spent'][kind] for stage in stages) for kind in SPENT}
    found = {'imports': config_at, 'data': data_at - config_at, **spent}
    found |= {'evaluation': result_at - trained_at, 'report': total - result_at}
    found['other'] = total - sum(found.values())
    return found | {'total': total, 'cpu': _children() - before}


def _children() -> float:
    """Seconds of all cores that the processes started here, and ended since, have had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(config: str, flags=(), *, runs: int = 3, once=start) -> dict:
    """{'cold', 'warm': {part: its median, 'runs': what `once`, which is `start` or `whole`, found each time}}: a pair
    with a new cache each time. A start before them, not counted, brings the files of the libraries into memory."""
    found = {'cold': [], 'warm': []}
    with tempfile.TemporaryDirectory() as cache:
        start(config, flags, cache=cache)
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            for each in found.values():
                each.append(once(config, flags, cache=cache))
    return {
        name: {part: statistics.median(run[part] for run in each) for part in each[0]} | {'runs': each}
        for name, each in found.items()
    }


def table(found: dict) -> str:
    """Seconds of each part, cold and warm."""
    columns = [name for name in found['cold'] if name != 'runs']
    lines = [f'{"cache":<8}' + ''.join(f'{c:>11}' for c in columns)]
    lines += [f'{name:<8}' + ''.join(f'{each[c]:>11.2f}' for c in columns) for name, each in found.items()]
    return '\n'.join(lines)


def main(argv) -> None:
    """Measures, prints the table and writes --out."""
    parser = argparse.ArgumentParser('benchmarks.start', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--whole', action='store_true', help='to the end of the run')
    parser.add_argument('--config', default='configs/quickstart.py')
    parser.add_argument('--runs', type=int, default=3, help='with a cold cache, and as many with a warm one')
    parser.add_argument('--out', default='', help='by default start.json or whole.json of benchmarks/results')
    given, flags = parser.parse_known_args(argv)
    if given.runs < 1:
        parser.error(f'--runs={given.runs}: it must be 1 or more.')
    if wrong := [flag for flag in flags if not flag.startswith('--config.')]:
        parser.error(f'{wrong[0]} is not known: further flags are fields of the config, --config.FIELD=VALUE.')
    name, once = ('whole', whole) if given.whole else ('start', start)
    found = measure(given.config, flags, runs=given.runs, once=once)
    print(table(found))
    record = begin('start', argv) | {'config': given.config, 'flags': flags, 'seconds': found}
    files.write_json(given.out or f'benchmarks/results/{name}.json', record)


if __name__ == '__main__':
    main(sys.argv[1:])

"""The largest operations of a training step, from a trace of `jax.profiler`.

    python -m benchmarks.profile NAME [--dtype=float32] [--batch=N] [--steps=4] [--most=10] [--out=FILE.json]

NAME is a step of benchmarks/jobs.py. An operation's bytes are those of its operands and its result, so that `of copy`,
their rate over a large copy's, is near 100% where memory bounds it. On a CPU with several cores operations run at the
same time and their milliseconds are those of all; `taskset -c 0` before the command makes them add up to the step's.
"""

import argparse
import collections
import math
import re
import sys
import tempfile
from pathlib import Path

import jax

from benchmarks.jobs import chosen
from benchmarks.ours import Ours, ceilings
from benchmarks.record import begin
from ssljax.devices import platform
from ssljax.storage import files

OUTER = ('while', 'call', 'conditional')  # what is inside of them has events of its own
_OPERATIONS = 'XLA Ops'  # a line of a TPU's plane
_LINE = re.compile(r'\s*(?:ROOT )?%?([\w.-]+) = (.+?) ([\w-]+)\((.*?)\)(?:, |$)')


def operations(text: str) -> dict[str, dict]:
    """{name: {'kind', 'size' of the result, 'bytes', 'source'}} of a compiled program's text, as
    `jax.stages.Compiled.as_text()` gives it."""
    found = {}
    for row in text.splitlines():
        if match := _LINE.match(row):
            name, shape, kind, operands = match.groups()
            source = re.search(r'op_name="([^"]*)"', row)
            found[name] = {'kind': kind, 'size': _size(shape), 'operands': re.findall(r'%([\w.-]+)', operands)}
            found[name]['source'] = source[1] if source else ''
    for each in found.values():
        each['bytes'] = each['size'] + sum(found[o]['size'] for o in each.pop('operands') if o in found)
    return found


def _size(shape: str) -> int:
    """Bytes of all arrays in an HLO shape, such as (f32[2,3]{1,0}, pred[])."""
    arrays = re.findall(r'[a-z]+(\d*)\w*\[([\d,]*)\]', shape)
    return sum(
        max(int(bits or 8) // 8, 1) * math.prod(map(int, filter(None, sides.split(',')))) for bits, sides in arrays
    )


def events(directory) -> tuple[collections.Counter, collections.Counter]:
    """({operation: milliseconds}, {operation: how often}) of all traces in `directory`."""
    spent, count = collections.Counter(), collections.Counter()
    for line in _lines(directory):
        for event in line.events:
            name = dict(event.stats).get('hlo_op') or (line.name == _OPERATIONS and event.name)
            if name:
                spent[name] += event.duration_ns / 1e6
                count[name] += 1
    return spent, count


def _lines(directory):
    """The lines of the devices where they have planes of their own, else of the host; of a plane those of operations
    alone where it has such."""
    for path in Path(directory).rglob('*.xplane.pb'):
        planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
        for plane in [p for p in planes if p.name.startswith('/device:')] or planes:
            lines = list(plane.lines)
            yield from [line for line in lines if line.name == _OPERATIONS] or lines


def largest(ours: Ours, steps: int, copy: float) -> list[dict]:
    """Every operation of `steps` steps after two that warm up, the largest first: {'name', 'kind', 'source', 'ms' and
    'count' of a step, 'share' of all, 'bytes' of one, 'of_copy'}. copy: bytes/s of a large copy."""
    ours.run(2)
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            done = ours.run(steps)
        spent, count = events(directory)
    known, rows = operations(ours.step.as_text()), []
    for name, ms in spent.most_common():
        about = known.get(name, {'kind': '', 'bytes': 0, 'source': ''})
        if about['kind'] not in OUTER:
            row = {key: about[key] for key in ('kind', 'source', 'bytes')}
            rate = about['bytes'] * count[name] / ms * 1000 if ms else 0.0
            rows.append({'name': name, **row, 'ms': ms / done, 'count': count[name] / done, 'of_copy': rate / copy})
    total = sum(row['ms'] for row in rows)
    return [row | {'share': row['ms'] / total} for row in rows]


def main(argv) -> None:
    """Traces, prints the table, and writes --out where it is given."""
    parser = argparse.ArgumentParser('benchmarks.profile', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('name', metavar='NAME', help='a step of benchmarks/jobs.py')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'bfloat16'))
    parser.add_argument('--batch', type=int, default=0, help='images a step; 0: what the step has')
    parser.add_argument('--steps', type=int, default=4)
    parser.add_argument('--most', type=int, default=10, help='rows')
    parser.add_argument('--out', default='')
    given = parser.parse_args(argv)
    for name in ('steps', 'most'):
        if getattr(given, name) < 1:
            parser.error(f'--{name}={getattr(given, name)} must be 1 or more.')
    try:
        (job,) = chosen([given.name], jax.default_backend() != 'cpu', given.batch)
    except ValueError as e:
        parser.error(str(e))
    platform.tune_cpu()
    rows = largest(Ours(job, given.dtype), given.steps, ceilings(given.dtype)['copy'])
    print(f'{"ms":>9}{"share":>8}{"times":>8}{"MiB":>9}{"of copy":>9}  operation, and where it comes from')
    for row in rows[: given.most]:
        text = f'{row["ms"]:>9.2f}{100 * row["share"]:>7.1f}%{row["count"]:>8.0f}{row["bytes"] / 2**20:>9.1f}'
        print(f'{text}{100 * row["of_copy"]:>8.0f}%  {row["name"]} | {row["source"][-70:]}')
    alike = collections.Counter()
    for row in rows:
        alike[re.sub(r'[.\d]+$', '', row['name'])] += row['share']
    print('of all: ' + ', '.join(f'{name} {100 * share:.0f}%' for name, share in alike.most_common(given.most)))
    if given.out:
        record = begin('profile', argv) | {'rows': rows[: given.most], 'ms': sum(row['ms'] for row in rows)}
        files.write_json(given.out, record)


if __name__ == '__main__':
    main(sys.argv[1:])

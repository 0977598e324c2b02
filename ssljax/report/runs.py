"""Several runs in one table: what each pretraining gives by neighbours, linear probe and transfer."""

import json

from ssljax.report.compare import pick, seeds_of, stopped_of, ways_of
from ssljax.report.read import read
from ssljax.report.words import NOT_PRETRAINED, is_number, percent, stage_title, way_title
from ssljax.stats import spread

MEASURES = ('Neighbours', 'Linear probe')


def compare_runs(workdirs) -> str:
    """A Markdown table of finished runs, one row a run, sorted by the linear probe.

    Numbers are test accuracies in percent, mean ± sample standard deviation over seeds. A probe is that of the layer
    which validation chose on each seed. In brackets: the difference to the same backbone before training (neighbours,
    probe) or to training from scratch (transfer), paired over the seeds that both have. Controls come from whichever
    run on the same data, labels and backbone measured them.

    Raises:
      FileNotFoundError, ValueError: a folder without a readable result.json.
    """
    results = [read(workdir).result for workdir in workdirs]
    controls = {}
    for result in results:
        found = controls.setdefault(_setting(result), {})
        for row, values in _controls(result).items():
            for measure, seeds in values.items():
                found.setdefault(row, {}).setdefault(measure, {}).update(seeds)
    ways = list(dict.fromkeys(w for r in results for w in ways_of(r) if w not in NOT_PRETRAINED))
    header = ['Pretraining', *MEASURES, *(way_title(way) for way in ways), 'Pretraining s', 'Images/s']
    rows = []
    for result in results:
        against, measured = controls[_setting(result)], _measured(result, ways)
        name = next((pick(seed, 'pretrain', 'method') for seed in seeds_of(result)), None) or result.get('name')
        cells = [_cell(measured[m], against.get('random', {}).get(m, {})) for m in MEASURES]
        cells += [_cell(measured[way], against.get('scratch', {}).get('scratch', {})) for way in ways]
        cost = [spread([pick(s, 'pretrain', k) for s in seeds_of(result)]) for k in ('seconds', 'images_per_second')]
        cells += [f'{c["mean"]:,.0f}' if c else '–' for c in cost]
        probe = spread(measured['Linear probe'].values())
        rows.append((probe['mean'] if probe else -1.0, [name, *cells]))
    lines = [cells for _, cells in sorted(rows, key=lambda row: -row[0])]
    for setting, found in controls.items():
        same = json.loads(setting)
        where = (
            f' ({" to ".join(filter(None, [same["backbone"]["name"], same["layer"]]))})' if len(controls) > 1 else ''
        )
        random, scratch = found.get('random', {}), found.get('scratch', {}).get('scratch', {})
        lines.append([f'random weights{where}', *(_cell(random.get(m, {}), {}) for m in MEASURES)])
        lines[-1] += ['–'] * (len(header) - len(lines[-1]))
        lines.append([f'from scratch{where}', '–', '–', *[_cell(scratch, {})] * min(len(ways), 1)])
        lines[-1] += ['–'] * (len(header) - len(lines[-1]))
    rule = ['---'] * len(header)
    rows = ['| ' + ' | '.join(cells) + ' |' for cells in [header, rule, *lines]]
    missing = [line for w, result in zip(workdirs, results) if (line := _missing(w, result))]
    return '\n'.join(rows + ([''] + missing if missing else []))


def _missing(workdir, result) -> str:
    """What of a run has no result with some of its seeds, in a line; '' where all have."""
    seeds = {}
    for seed, name, entry in stopped_of(result):
        seeds.setdefault((name, entry['kind']), []).append(str(seed))
    parts = [f'{stage_title(name)} {kind} (seed {", ".join(own)})' for (name, kind), own in seeds.items()]
    return f'Without a result in {workdir}: {"; ".join(parts)}.' if parts else ''


def _setting(result) -> str:
    """What has to be equal for a control to serve two runs."""
    parts = {name: pick(result, 'config', name) for name in ('data', 'backbone')}
    parts |= {name: pick(result, 'config', 'transfer', name) for name in ('layer', 'pool', 'hidden', 'augment')}
    parts['probe_pool'] = pick(result, 'config', 'evaluate', 'probe_pool')
    return json.dumps(parts, sort_keys=True)


def _seeds(result, *path) -> dict:
    """{seed: number} of those that have it."""
    found = {seed.get('seed', i): pick(seed, *path) for i, seed in enumerate(seeds_of(result))}
    return {seed: value for seed, value in found.items() if is_number(value)}


def _features(result, what) -> dict:
    probes = {}
    for i, seed in enumerate(seeds_of(result)):
        value = pick(seed, 'probe', what, 'layers', pick(seed, 'probe', what, 'best'), 'test')
        if is_number(value):
            probes[seed.get('seed', i)] = value
    return {'Neighbours': _seeds(result, 'knn', what, 'test', 'top1'), 'Linear probe': probes}


def _measured(result, ways) -> dict:
    return _features(result, 'pretrained') | {way: _seeds(result, 'ways', way, 'test', 'top1') for way in ways}


def _controls(result) -> dict:
    return {
        'random': _features(result, 'random'),
        'scratch': {'scratch': _seeds(result, 'ways', 'scratch', 'test', 'top1')},
    }


def _cell(values: dict, control: dict) -> str:
    text = percent(spread(values.values()))
    pairs = [values[seed] - control[seed] for seed in values.keys() & control.keys()]
    return f'{text} ({percent(spread(pairs), sign=True)})' if pairs else text

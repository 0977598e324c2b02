"""Several runs in one table: what each pretraining gives by neighbours, linear probe and transfer."""

from typing import NamedTuple

from ssljax.report import fair
from ssljax.report.compare import pick, seeds_of, shares_pretraining, stopped_of, ways_of
from ssljax.report.read import read
from ssljax.report.words import NOT_PRETRAINED, is_number, percent, stage_title, way_title
from ssljax.stats import spread
from ssljax.text.literal import as_markdown


def _main(seed, *path) -> str:
    """'mAP' if there is one, as for multi-label images, else 'top1'."""
    return 'mAP' if 'mAP' in (pick(seed, *path, 'test') or {}) else 'top1'


# The measures of a backbone: where a seed has its test accuracy.
MEASURES = {
    'Neighbours': lambda seed, what: pick(seed, 'knn', what, 'test', _main(seed, 'knn', what)),
    'Linear probe': lambda seed, what: pick(
        seed, 'probe', what, 'layers', pick(seed, 'probe', what, 'best'), 'test'
    ),
}  # fmt: skip
FIELDS = {'random': fair.RANDOM, 'scratch': fair.SCRATCH}  # fields of the config that decide a control
TITLES = {'random': 'random weights', 'scratch': 'from scratch'}
MOST = 6  # differences named between two runs


class Control(NamedTuple):
    """What a run has to be compared with, of one kind: {seed: what decides it} and {seed: {measure: share}}, which may
    lack seeds."""

    settings: dict
    values: dict


def compare_runs(workdirs) -> str:
    """A Markdown table of finished runs, one row per run, sorted by the linear probe, and below it what is not paired.

    Numbers are test accuracies, or mAP for multi-label images, in percent, mean ± sample standard deviation over seeds.
    A probe is that of the layer which validation chose on each seed. In brackets: the difference to the same backbone
    before training (neighbours, probe) or to training from scratch (transfer), paired by seed. A run is compared with
    its own controls; one without them, with those of another run if all that `fair` names agrees: images, label sets,
    backbone, augmentation, optimiser, batch size and steps. Otherwise no difference is given, and a line says what
    differs.

    Raises:
      FileNotFoundError, ValueError: a folder without a readable result.json.
    """
    results = [read(workdir).result for workdir in workdirs]
    controls = [{kind: _control(result, kind) for kind in FIELDS} for result in results]
    ways = list(dict.fromkeys(w for r in results for w in ways_of(r) if w not in NOT_PRETRAINED))
    header = ['Pretraining', *MEASURES, *(way_title(way) for way in ways), 'Pretraining s', 'Images/s']
    rows, said = [], []
    for result, own in zip(results, controls):
        against = {kind: _shared(own[kind], [other[kind] for other in controls]) for kind in FIELDS}
        for kind, (_, reasons) in against.items():
            for j, apart in reasons.items():
                of = f'{TITLES[kind]} of {_name(results[j])}'
                said.append(f'{_name(result)}: not paired with {of}: {_listed(apart)}.')
        probe = spread(_numbers(result, MEASURES['Linear probe'], 'pretrained').values())
        cells = [_cell(_numbers(result, of, 'pretrained'), against['random'][0], m) for m, of in MEASURES.items()]
        cells += [_cell(_numbers(result, _top1, way), against['scratch'][0], 'top1') for way in ways]
        cost = [spread([pick(s, 'pretrain', k) for s in seeds_of(result)]) for k in ('seconds', 'images_per_second')]
        cells += [f'{c["mean"]:,.0f}' if c else '–' for c in cost]
        rows.append((probe['mean'] if probe else -1.0, [_name(result), *cells]))
    lines = [cells for _, cells in sorted(rows, key=lambda row: -row[0])]
    for kind in FIELDS:
        lines += _control_rows(kind, [(_name(r), own[kind]) for r, own in zip(results, controls)], bool(ways))
    lines = [header, ['---'] * len(header), *(cells + ['–'] * (len(header) - len(cells)) for cells in lines)]
    table = ['| ' + ' | '.join(as_markdown(c) if c != '---' else c for c in cells) + ' |' for cells in lines]
    said += _not_alike(results, [own['scratch'].settings for own in controls])
    said += [
        f'{_name(result)}: one pretraining for all seeds, so its spread is over label sets and training on them alone.'
        for result in results
        if shares_pretraining(result)
    ]
    said += [gone for w, result in zip(workdirs, results) if (gone := _missing(w, result))]
    return '\n'.join(table + ['\n' + as_markdown(sentence) for sentence in said])


def _missing(workdir, result) -> str:
    """What has no result with some of a run's seeds, in a line; '' if all have."""
    seeds: dict = {}
    for seed, name, entry in stopped_of(result):
        seeds.setdefault((name, entry['kind']), []).append(str(seed))
    parts = [f'{stage_title(name)} {kind} (seed {", ".join(own)})' for (name, kind), own in seeds.items()]
    return f'Without a result in {workdir}: {"; ".join(parts)}.' if parts else ''


def _name(result) -> str:
    method = next((pick(seed, 'pretrain', 'method') for seed in seeds_of(result)), None)
    return str(method or result.get('name'))


def _top1(seed, way):
    return pick(seed, 'ways', way, 'test', _main(seed, 'ways', way))


def _numbers(result, find, what) -> dict:
    """{seed: number} of those that have it."""
    found = {seed.get('seed', i): find(seed, what) for i, seed in enumerate(seeds_of(result))}
    return {seed: value for seed, value in found.items() if is_number(value)}


def _control(result, kind) -> Control:
    measures: dict = MEASURES if kind == 'random' else {'top1': _top1}
    values: dict = {}
    for measure, find in measures.items():
        for seed, value in _numbers(result, find, kind).items():
            values.setdefault(seed, {})[measure] = value
    return Control(fair.by_seed(result, FIELDS[kind]), values)


def _shared(own: Control, others) -> tuple:
    """({seed: {measure: number}}, reasons) of the control of a run: its own, or what other runs have of an equal one,
    by seed. The reasons, {number of the other run: what differs}, are for runs whose control it cannot use."""
    if own.values:
        return own.values, {}
    shared: dict = {}
    reasons: dict = {}
    for j, other in enumerate(others):
        if not other.values:
            continue
        both = [seed for seed in own.settings if seed in other.settings]
        apart = {seed: fair.differences(own.settings[seed], other.settings[seed]) for seed in both}
        for seed in both:
            if not apart[seed]:
                shared[seed] = other.values.get(seed, {}) | shared.get(seed, {})
        if why := next(filter(None, apart.values()), None if both else ['no seeds in common']):
            reasons[j] = why
    return shared, {} if any(shared.values()) else reasons


def _control_rows(kind, controls, transfer: bool) -> list:
    """The rows of the controls [(name of the run, Control), ...], one for all runs with the same control; `transfer`:
    whether there is a column for it."""
    groups: list = []  # (settings by seed, {seed: {measure: number}}, names)
    for name, own in controls:
        if own.values:
            alike = [g for g in groups if all(g[0][s] == own.settings[s] for s in g[0].keys() & own.settings.keys())]
            known, values, names = alike[0] if alike else ({}, {}, [])
            groups += [] if alike else [(known, values, names)]
            known.update(own.settings)
            names.append(name)
            values |= {seed: of | values.get(seed, {}) for seed, of in own.values.items()}
    rows = []
    for _, values, names in groups or [({}, {}, [])]:
        title = TITLES[kind] + (f' ({", ".join(dict.fromkeys(names))})' if len(groups) > 1 else '')
        measures = MEASURES if kind == 'random' else ['top1'] * transfer
        means = [percent(spread([of.get(measure) for of in values.values()])) for measure in measures]
        rows.append([title, *means] if kind == 'random' else [title, *['–'] * len(MEASURES), *means])
    return rows


def _not_alike(results, settings) -> list[str]:
    """Sentences on the runs that are not trained like the first one; settings: {seed: setting} of each."""
    said = []
    for result, own in zip(results[1:], settings[1:]):
        both = [seed for seed in settings[0] if seed in own]
        apart = list(dict.fromkeys(d for seed in both for d in fair.differences(own[seed], settings[0][seed])))
        if apart or not both:
            why = _listed(apart) if both else 'no seeds in common'
            said.append(f'The rows {_name(result)} and {_name(results[0])} were not trained alike: {why}.')
    return said


def _listed(apart: list) -> str:
    return '; '.join(apart[:MOST]) + (f'; and {len(apart) - MOST} more' if len(apart) > MOST else '')


def _cell(values: dict, control: dict, measure: str) -> str:
    pairs = [value - control[seed][measure] for seed, value in values.items() if measure in control.get(seed, {})]
    return percent(spread(values.values())) + (f' ({percent(spread(pairs), sign=True)})' if pairs else '')

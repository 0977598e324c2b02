"""Several runs in one table: what each pretraining gives by neighbours, linear probe and transfer."""

from ssljax.literal import as_markdown
from ssljax.report import fair
from ssljax.report.compare import pick, seeds_of, stopped_of, ways_of
from ssljax.report.read import read
from ssljax.report.words import NOT_PRETRAINED, is_number, percent, stage_title, way_title
from ssljax.stats import spread

MEASURES = ('Neighbours', 'Linear probe')
SHARED = {'random': fair.RANDOM, 'scratch': fair.SCRATCH}
TITLES = {'random': 'random weights', 'scratch': 'from scratch'}
MOST = 6  # differences named of two runs


def compare_runs(workdirs) -> str:
    """A Markdown table of finished runs, one row a run, sorted by the linear probe, and below it what is not paired.

    Numbers are test accuracies in percent, mean ± sample standard deviation over seeds. A probe is that of the layer
    which validation chose on each seed. In brackets: the difference to the same backbone before training (neighbours,
    probe) or to training from scratch (transfer), paired by seed. A run is held against its own controls; one without
    them against those of another run where all agrees that `fair` names: images, label sets, backbone, augmentation,
    optimiser, batch size and steps. Otherwise no difference is given, and a line says what differs.

    Raises:
      FileNotFoundError, ValueError: a folder without a readable result.json.
    """
    results = [read(workdir).result for workdir in workdirs]
    found = [{kind: _control(results, i, kind) for kind in SHARED} for i in range(len(results))]
    ways = list(dict.fromkeys(w for r in results for w in ways_of(r) if w not in NOT_PRETRAINED))
    header = ['Pretraining', *MEASURES, *(way_title(way) for way in ways), 'Pretraining s', 'Images/s']
    rows = []
    for result, controls in zip(results, found):
        (random, _), (scratch, _) = controls['random'], controls['scratch']
        measured = _measured(result, ways)
        cells = [_cell(measured[m], random.get(m, {})) for m in MEASURES]
        cells += [_cell(measured[way], scratch.get('top1', {})) for way in ways]
        cost = [spread([pick(s, 'pretrain', k) for s in seeds_of(result)]) for k in ('seconds', 'images_per_second')]
        cells += [f'{c["mean"]:,.0f}' if c else '–' for c in cost]
        probe = spread(measured['Linear probe'].values())
        rows.append((probe['mean'] if probe else -1.0, [_name(result), *cells]))
    lines = [cells for _, cells in sorted(rows, key=lambda row: -row[0])]
    lines += [cells + ['–'] * (len(header) - len(cells)) for cells in _control_rows(results, min(len(ways), 1))]
    rule = ['---'] * len(header)
    table = [[as_markdown(cell) for cell in cells] for cells in [header, *lines]]
    table.insert(1, rule)
    said = [f'\n{sentence}' for sentence in _not_paired(results, found)]
    said += ['\n' + as_markdown(gone) for w, result in zip(workdirs, results) if (gone := _missing(w, result))]
    return '\n'.join(['| ' + ' | '.join(cells) + ' |' for cells in table] + said)


def _missing(workdir, result) -> str:
    """What of a run has no result with some of its seeds, in a line; '' where all have."""
    seeds: dict = {}
    for seed, name, entry in stopped_of(result):
        seeds.setdefault((name, entry['kind']), []).append(str(seed))
    parts = [f'{stage_title(name)} {kind} (seed {", ".join(own)})' for (name, kind), own in seeds.items()]
    return f'Without a result in {workdir}: {"; ".join(parts)}.' if parts else ''


def _name(result) -> str:
    method = next((pick(seed, 'pretrain', 'method') for seed in seeds_of(result)), None)
    return str(method or result.get('name'))


def _control(results, i: int, kind: str) -> tuple:
    """({measure: {seed: number}}, reasons) of the control of a run: its own, or what other runs have of a like one, by
    seed. The reasons, {number of the other run: what differs}, are those of runs whose control it cannot have."""
    own = _controls(results[i])[kind]
    if any(own.values()):
        return own, {}
    wanted = fair.by_seed(results[i], SHARED[kind])
    shared: dict = {}
    reasons: dict = {}
    for j, result in enumerate(results):
        theirs, settings = _controls(result)[kind], fair.by_seed(result, SHARED[kind])
        if not any(theirs.values()):
            continue
        for seed in wanted.keys() & settings.keys():
            if apart := fair.differences(wanted[seed], settings[seed]):
                reasons.setdefault(j, apart)
                continue
            for measure, values in theirs.items():
                if seed in values:
                    shared.setdefault(measure, {}).setdefault(seed, values[seed])
        if not wanted.keys() & settings.keys():
            reasons[j] = ['other seeds']
    return shared, {} if shared else reasons


def _control_rows(results, transfer: int) -> list:
    """The rows of the controls, one for all runs that have it alike; `transfer`: whether there is a column for it."""
    rows = []
    for kind in SHARED:
        groups: list = []  # [settings by seed, {measure: {seed: number}}, names]
        for result in results:
            theirs, settings = _controls(result)[kind], fair.by_seed(result, SHARED[kind])
            if not any(theirs.values()):
                continue
            alike = [group for group in groups if _agree(group[0], settings)]
            if not alike:
                groups += (alike := [({}, {}, [])])
            known, values, names = alike[0]
            known.update(settings)
            names.append(_name(result))
            for measure, numbers in theirs.items():
                values[measure] = numbers | values.get(measure, {})
        for _, values, names in groups or [({}, {}, [])]:
            title = TITLES[kind] + (f' ({", ".join(dict.fromkeys(names))})' if len(groups) > 1 else '')
            if kind == 'random':
                rows.append([title, *(_cell(values.get(m, {}), {}) for m in MEASURES)])
            else:
                rows.append([title, '–', '–', *[_cell(values.get('top1', {}), {})] * transfer])
    return rows


def _agree(known: dict, settings: dict) -> bool:
    return all(known[seed] == settings[seed] for seed in known.keys() & settings.keys())


def _not_paired(results, found) -> list[str]:
    """Sentences on what is not held against each other, and why."""
    said = []
    for result, controls in zip(results, found):
        for kind, (_, reasons) in controls.items():
            for j, apart in reasons.items():
                of = f'{TITLES[kind]} of {_name(results[j])}'
                said.append(f'{_name(result)}: not paired with {of}: {_listed(apart)}.')
    first = fair.by_seed(results[0], fair.SCRATCH)
    for result in results[1:]:
        settings = fair.by_seed(result, fair.SCRATCH)
        both = [seed for seed in first if seed in settings]
        apart = list(dict.fromkeys(d for seed in both for d in fair.differences(settings[seed], first[seed])))
        if apart or not both:
            why = _listed(apart) if both else 'other seeds'
            said.append(f'The rows {_name(result)} and {_name(results[0])} are not trained alike: {why}.')
    return [as_markdown(sentence) for sentence in said]


def _listed(apart: list) -> str:
    return '; '.join(apart[:MOST]) + (f'; and {len(apart) - MOST} more' if len(apart) > MOST else '')


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
        'scratch': {'top1': _seeds(result, 'ways', 'scratch', 'test', 'top1')},
    }


def _cell(values: dict, control: dict) -> str:
    text = percent(spread(values.values()))
    pairs = [values[seed] - control[seed] for seed in values.keys() & control.keys()]
    return f'{text} ({percent(spread(pairs), sign=True)})' if pairs else text

"""Sections on what came out: the ways, the pretraining, the curves, the probe, the neighbours' vote."""

from ssljax import metrics
from ssljax.report import by_class, shell
from ssljax.report.compare import (
    across,
    best_way,
    named_seeds,
    of_way,
    pick,
    seeds_of,
    selected,
    stopped_of,
    test_images,
    versus_scratch,
    ways_of,
)  # fmt: skip
from ssljax.report.game import players_of
from ssljax.report.markup import beside, figure, folded, grid, paragraph, part, section
from ssljax.report.plots import plot_probe, plot_stage, plot_transfer, plot_ways
from ssljax.report.table import MAJORITY, compared, of_some_seeds, other_rows, way_rows
from ssljax.report.words import duration, number, percent, stage_title, way_title
from ssljax.stats import FEWEST, against, correct, difference, enough, spread


def main_results(run):
    result = run.result
    ways, best = ways_of(result), best_way(result)
    n, versus = len(seeds_of(result)), versus_scratch(result)
    sample = f"mean ± sample standard deviation over {n} seeds, and the 95% interval of the mean by Student's t"
    caption = [f'Accuracy of each way: {sample if n > 1 else "one seed, so no spread, no interval and no p-value"}.']
    if versus:
        caption.append('"Against scratch": the difference in test top-1, in points, paired by seed.')
        tested = any(enough(found) for found in versus.values())
        if tested:
            caption.append('p: two-sided, of the paired t-test.')
        elif n > 1:
            caption.append(f'No p: a test needs at least {FEWEST} seeds.')
        if tested and len(versus) > 1:
            caption.append(f"p, Holm: by Holm's correction for {len(versus)} ways compared with scratch.")
    header, rows = way_rows(result)
    if brackets := of_some_seeds(rows):
        caption.append(f'{brackets.capitalize()}.')
    if count := test_images(result):
        caption.append(f'"By test images": the 95% interval that their number, {count:,}, leaves (Wilson).')
    if share := by_class.majority(result):
        caption.append(f'{MAJORITY}: the top-1 of always predicting it.')
    note = f'Highlighted: {way_title(best)}, the best by validation.' if best and len(ways) > 1 else ''
    others = [f'Best step: the one whose weights did best on validation, by {metrics.TITLES[selected(result)]}.']
    if any(seed.get('pretrain') for seed in seeds_of(result)):
        others.append('Time: of the way alone, without pretraining.')
    others.append('Steps, time and images/s are means over seeds.' if n > 1 else '')
    image = plot_ways(result)
    dots = ways_caption(n, versus) + floored(share)
    if any(entry.get('what') in ways for entry in result.get('published') or []):
        dots += ' Hollow diamonds: published values, whose setting may differ (see the table of published values).'
    seeds = named_seeds(result)
    each = [
        [way_title(way), *(percent(spread([pick(seed, 'ways', way, 'test', 'top1')])) for _, seed in seeds)]
        for way in ways
    ]
    by_seed = grid(['Way', *(f'Seed {name}' for name, _ in seeds)], each, 'Test top-1 (%) of every seed.')
    best_rows = [ways.index(best)] if best else []
    protocol = part('heading', 'Protocol') + paragraph(result['protocol']) if result.get('protocol') else ''
    return section(
        'Results',
        grid(header, rows, ' '.join(filter(None, [*caption, note])), best=best_rows),
        figure(image, dots),
        grid(*other_rows(result), ' '.join(filter(None, ['Other measurements.', *others])), best=best_rows),
        folded('Every seed', by_seed) if n > 1 else '',
        stopped(result),
        warnings(result),
        published(result),
        protocol,
    )


def floored(share):
    """The sentence on the line at the majority class's top-1 in a plot; '' if it is unknown."""
    return f' Dash-dotted: always the majority class, {100 * share:.1f} %.' if share else ''


def ways_caption(seeds, versus):
    """What the bars of `plot_ways` show."""
    if seeds < 2:
        bars = 'Bars: test top-1 accuracy of the one seed.'
    else:
        bars = 'Bars: mean test top-1 accuracy. Whiskers: its 95% interval. Points: seeds.'
    if not versus:
        return bars
    right = ' Dashed: the mean from scratch. On the right: the differences to scratch, paired by seed, in points.'
    return bars + right


def published(result):
    rows = [
        (way_title(entry.get('what', '')), '', entry.get('value'),
         percent(of_way(result, entry.get('what'), 'test', 'top1')), entry.get('setting', ''), entry.get('source', ''))
        for entry in result.get('published') or []
    ]  # fmt: skip
    return shell.published(rows)


def pretraining(run):
    result = run.result
    rows = []
    for name, seed in named_seeds(result):
        entry = seed.get('pretrain')
        if not entry:
            continue
        val = entry.get('val') or {}
        spreads = [number(val.get(key), digits) for key, digits in (('features_std', 2), ('features_rank', 3))]
        row = [name, entry.get('method', '–'), number(entry.get('steps')), number(entry.get('epochs'))]
        row += [percent(spread([val.get('top1')])), number(val.get('loss')), percent(spread([val.get('knn')]))]
        rows.append([*row, *spreads, duration(entry.get('seconds')), number(entry.get('images_per_second'))])
    header = ['Seed', 'Method', 'Steps', 'Epochs', 'Validation accuracy %', 'Validation loss', 'Neighbours %', 'Spread']
    header += ['Rank', 'Time', 'Images/s']
    known = {*ways_of(result), *(name for _, name, _ in stopped_of(result))} - {'pretrain'}
    plots = []
    for stage in sorted(run.metrics, key=lambda name: (name != 'pretrain', name)):
        if stage not in known:
            for metric, image in plot_stage(run.metrics[stage]):
                plots.append(figure(image, f'{metric}, stage "{stage}". {seed_lines(run.metrics[stage])}'))
    caption = (
        'Pretraining, by seed. Accuracy and loss are those of the pretext task on validation images; "Neighbours": '
        'validation accuracy of the vote of the nearest labelled images; "Spread", "Rank": relative standard deviation '
        '(0: constant, 1: even) and effective rank of the features of validation images.'
    )
    table = grid(header, rows, caption)
    return section('Pretraining', table, beside(*plots))


def seed_lines(stage_metrics):
    return 'Light lines: seeds; bold: their mean.' if len(stage_metrics) > 1 else 'One seed.'


def transfer_curves(run):
    """The curves of all ways; of two players, `game` draws the training, and the accuracy beside that of scratch."""
    stopped = [name for _, name, _ in stopped_of(run.result) if name != 'pretrain']
    every = [way for way in dict.fromkeys([*ways_of(run.result), *stopped]) if way in run.metrics]
    alone = [way for way in every if way not in players_of(run)]
    parts, select, share = [], selected(run.result), by_class.majority(run.result, 'val')
    for key, what, ways in (
        ('val/top1', 'Validation accuracy', [] if len(alone) < len(every) and alone in ([], ['scratch']) else every),
        (f'val/{select}', f'Validation {metrics.TITLES[select]}', [] if select == 'top1' else every),
        ('val/loss', 'Validation loss', every),
        ('train/loss', 'Training loss', alone),
        ('train/unlabeled', 'Loss of unlabelled images', having(run, every, 'train/unlabeled')),
        ('train/coverage', 'Share of unlabelled images that count', having(run, every, 'train/coverage')),
    ):
        floor = share if key == 'val/top1' else None
        image = plot_transfer(run.metrics, ways, key, floor)
        note = seed_lines(max((run.metrics[way] for way in ways), key=len, default=()))
        whose = way_title(ways[0]) if len(ways) == 1 else 'each way'
        parts.append(figure(image, f'{what} during training: {whose}. {note}{floored(floor)}'))
    return section('Learning curves', beside(*parts))


def having(run, ways, key):
    """Those of the ways that logged a metric."""
    return [way for way in ways if any(key in row for rows in run.metrics[way].values() for row in rows)]


def stopped(result):
    """What has no result because a guard stopped it, or what it starts from."""
    rows = [[stage_title(name), f'{seed}', entry['kind'], entry['why']] for seed, name, entry in stopped_of(result)]
    caption = 'Without a result: a guard stopped this stage, or the one that it starts from.'
    return grid(['What', 'Seed', 'Outcome', 'Why'], rows, caption, wide=(3,))


def warnings(result):
    """What the guards said while the ways trained, each once."""
    said = {}
    for number_of, seed in named_seeds(result):
        found = {'pretrain': pick(seed, 'pretrain', 'warnings')}
        found |= {way: pick(seed, 'ways', way, 'warnings') for way in ways_of(result)}
        for name, warning in ((name, warning) for name, list_ in found.items() for warning in list_ or []):
            said.setdefault((name, warning), []).append(number_of)
    rows = [[stage_title(way), ', '.join(seeds), warning] for (way, warning), seeds in said.items()]
    return grid(['Way', 'Seeds', 'Warning'], rows, 'Warnings during training.', wide=(2,))


def probe(run):
    result, share = run.result, by_class.majority(run.result)
    layers, marked, chosen = {}, {}, {}
    for what in dict.fromkeys(what for seed in seeds_of(result) for what in seed.get('probe') or {}):
        names = dict.fromkeys(name for seed in seeds_of(result) for name in pick(seed, 'probe', what, 'layers') or {})
        layers[what] = {
            name: {split: across(result, 'probe', what, 'layers', name, split) for split in ('val', 'test')}
            for name in names
        }
        picks = [pick(seed, 'probe', what, 'best') for seed in seeds_of(result)]
        chosen[what] = [name for name in picks if name]
        scored = [(found['val']['mean'], name) for name, found in layers[what].items() if found['val']]
        if scored:
            marked[what] = max(scored, key=lambda pair: pair[0])[1]
    rows, best, gains = [], [], probe_gains(result, layers)
    for what, found in layers.items():
        best += [len(rows) + list(found).index(marked[what])] if what in marked else []
        for name, layer in found.items():
            values = (
                {pick(seed, 'probe', what, 'layers', name, key) for seed in seeds_of(result)} for key in ('dim', 'l2')
            )
            dim, l2 = (', '.join(number(value, 2) for value in sorted(found - {None})) or '–' for found in values)
            votes = f'{chosen[what].count(name)} of {len(chosen[what])}' if chosen[what] else '–'
            gain = compared(None, gains.get(name) if what == 'pretrained' else None)
            rows.append([what, name, dim, l2, percent(layer['val']), percent(layer['test']), gain[2], gain[5], votes])
    header = ['Weights', 'Layer', 'Features', 'L2', 'Validation %', 'Test %', 'Against random', 'p, Holm']
    about = 'Linear probe of every layer. Highlighted: best mean validation accuracy.'
    if gains:
        about += ' "Against random": the same layer before training, paired by seed, in points of the test.'
        about += " p: of the paired t-test, by Holm's correction for the layers."
    table = grid([*header, 'Seeds that chose it'], rows, about, best=best)
    caption = (
        'Linear probe by layer. Solid: test, with standard deviation; dotted: validation; ring: chosen on validation.'
    )
    return section('Linear probe', beside(figure(plot_probe(layers, marked, share), caption + floored(share)), table))


def probe_gains(result, layers):
    """{layer: what training the backbone adds to its probe on test, with 'p_holm'}."""

    def test(seed, what, name):
        return pick(seed, 'probe', what, 'layers', name, 'test')

    found = {
        name: difference([(test(seed, 'pretrained', name), test(seed, 'random', name)) for seed in seeds_of(result)])
        for name in layers.get('pretrained', ())
    }
    return correct({name: gain for name, gain in found.items() if gain})


def nearest_vote(run):
    result, rows = run.result, []
    kinds = list(dict.fromkeys(what for seed in seeds_of(result) for what in seed.get('knn') or {}))
    top1 = {what: [pick(seed, 'knn', what, 'test', 'top1') for seed in seeds_of(result)] for what in kinds}
    versus = against(top1, 'random')
    for what in kinds:
        k = across(result, 'knn', what, 'k')
        val, test = across(result, 'knn', what, 'val', 'top1'), spread(top1[what])
        layers = {pick(seed, 'knn', what, 'layer') for seed in seeds_of(result)} - {None}
        row = [what, ', '.join(sorted(layers)), number(k['mean']) if k else '–', percent(val)]
        rows.append(row + compared(test, versus.get(what)))
    caption = 'Vote of the k nearest labelled images on frozen features; "random": the network before any training.'
    caption += ' "Against random": paired by seed, in points; p: of the paired t-test.' if versus else ''
    header = ['Weights', 'Layer', 'k', 'Validation %', 'Test %', '95% interval', 'Against random', '95% interval', 'p']
    return section('Nearest-neighbour accuracy', grid(header, [row[:9] for row in rows], caption))

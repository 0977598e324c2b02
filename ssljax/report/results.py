"""Sections on what came out: the ways, the pretraining, the curves, the probe, the neighbours' vote."""

import pandas as pd

from ssljax import metrics
from ssljax.progress import say
from ssljax.report import by_class, shell
from ssljax.report.compare import (
    across,
    best_way,
    is_multilabel,
    main,
    main_title,
    named_seeds,
    of_way,
    pick,
    seeds_of,
    selected,
    shares_pretraining,
    stopped_of,
    test_images,
    versus_scratch,
    ways_of,
)  # fmt: skip
from ssljax.report.game import players_of
from ssljax.report.markup import beside, figure, folded, grid, paragraph, part, section
from ssljax.report.plots import on_test, plot_probe, plot_stage, plot_transfer, plot_ways, several
from ssljax.report.table import compared, meaning, of_some_seeds, other_rows, way_rows
from ssljax.report.words import duration, number, percent, stage_title, way_title
from ssljax.stats import correct, difference, spread


def main_results(run):
    say.status('report: tables and plots ...')
    result = run.result
    ways, best, versus = ways_of(result), best_way(result), versus_scratch(result)
    n, count, marked = len(seeds_of(result)), test_images(result), [ways.index(best)] if best else []
    header, rows = way_rows(result)
    brackets, share = of_some_seeds(rows), by_class.majority(result)
    spreads = f"mean ± sample standard deviation over {n} seeds, and the 95% interval of the mean by Student's t"
    spreads = spreads if n > 1 else 'one seed, so no spread, no interval and no p-value'
    about = (
        f'{"mAP" if is_multilabel(result) else "Accuracy"} of each way: {spreads}.',
        versus and f'"Against scratch": {meaning(versus, metric=main_title(result))}',
        brackets and f'{brackets.capitalize()}.',
        count
        and f'"By test images": the 95% interval implied by their number, {count:,} '
        f'({"bootstrap" if is_multilabel(result) else "Wilson"}).',
        share and by_class.floor_meaning(result),
        best and len(ways) > 1 and f'Highlighted: {way_title(best)}, the best by validation.',
    )
    others = (
        f'Other measurements{", means over seeds" * (n > 1)}.',
        f'Best step: the one whose weights did best on validation, by {metrics.TITLES[selected(result)]}.',
        any(seed.get('pretrain') for seed in seeds_of(result)) and 'Time: of the way alone, without pretraining.',
    )
    dots = (
        f'Bars: mean {on_test_words(result)}. Whiskers: its 95% interval. Points: seeds.' if n > 1
        else f'Bars: {on_test_words(result)} of the one seed.',
        versus and 'Dashed: the mean from scratch. Second: the differences from training from scratch, paired by seed, '
        'in points.',
        by_class.floored(result, share),
        any(entry.get('what') in ways for entry in result.get('published') or [])
        and 'Hollow diamonds: published values, whose setting may differ (see the table of published values).',
    )  # fmt: skip
    return section(
        'Results',
        grid(header, rows, joined(about), best=marked),
        figure(plot_ways(result), joined(dots)),
        grid(*other_rows(result), joined(others), best=marked),
        folded('Every seed and stage', every_seed(result)),
        stopped(result),
        warnings(result),
        shell.published(
            result.get('published'), way_title, lambda what: percent(of_way(result, what, 'test', main(result)))
        ),
        part('heading', 'Protocol') + paragraph(result['protocol']) if result.get('protocol') else '',
    )


def on_test_words(result):
    """'test top-1 accuracy', or 'test mAP'."""
    return f't{on_test(result)[1:]}'


def joined(sentences):
    return ' '.join(filter(None, sentences))


def every_seed(result):
    """What was measured of each stage with each seed."""
    rows = []
    for stage in ('pretrain', *ways_of(result)):
        for name, seed in named_seeds(result):
            if entry := own_pretraining(seed) if stage == 'pretrain' else pick(seed, 'ways', stage):
                metric = 'top1' if stage == 'pretrain' else main(result)
                top1 = [percent(spread([pick(entry, split, metric)])) for split in ('val', 'test')]
                steps, best, rate = (number(entry.get(key)) for key in ('steps', 'best_step', 'images_per_second'))
                rows.append([stage_title(stage), name, *top1, steps, best, duration(entry.get('seconds')), rate])
    title = main_title(result)
    header = ['Stage', 'Seed', f'Validation {title} %', f'Test {title} %', 'Steps', 'Best step', 'Time', 'Images/s']
    return grid(header, rows, 'Every stage; for pretraining, the accuracy of its task.')


def own_pretraining(seed) -> dict | None:
    """The record of the pretraining of a seed, None if it uses that of another one."""
    return None if pick(seed, 'pretrain', 'shared') is not None else seed.get('pretrain')


def pretraining(run):
    result = run.result
    rows = []
    for name, seed in named_seeds(result):
        entry = own_pretraining(seed)
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
            for metric, image in plot_stage(run.metrics, stage):
                plots.append(figure(image, f'{metric}, stage "{stage}". {seed_lines(run.metrics[stage])}'))
    caption = (
        f'Pretraining, {"one for all seeds" if shares_pretraining(result) else "by seed"}. '
        'Accuracy and loss are those of the pretext task on validation images; "Neighbours": '
        f'validation {"mAP" if is_multilabel(result) else "accuracy"} of the vote of the nearest labelled images; '
        '"Spread", "Rank": relative standard deviation (0: constant, 1: even) and effective rank of the '
        'features of validation images.'
    )
    table = grid(header, rows, caption)
    return section('Pretraining', table, beside(*plots))


def seed_lines(*metrics):
    return 'Light lines: seeds; bold: their mean.' if any(map(several, metrics)) else 'One seed.'


def transfer_curves(run):
    """The curves of all ways; for ways with two players, `game` draws the training, and the accuracy beside that of
    scratch."""
    stopped = [name for _, name, _ in stopped_of(run.result) if name != 'pretrain']
    every = [way for way in dict.fromkeys([*ways_of(run.result), *stopped]) if way in run.metrics]
    alone = [way for way in every if way not in players_of(run)]
    parts, select, share = [], selected(run.result), by_class.majority(run.result, 'val')
    first = main(run.result)
    title = 'Validation accuracy' if first == 'top1' else f'Validation {main_title(run.result)}'
    for key, what, ways in (
        (f'val/{first}', title, [] if len(alone) < len(every) and alone in ([], ['scratch']) else every),
        (f'val/{select}', f'Validation {metrics.TITLES[select]}', [] if select == first else every),
        ('val/loss', 'Validation loss', every),
        ('train/loss', 'Training loss', alone),
        ('train/unlabeled', 'Loss of unlabelled images', every),
        ('train/coverage', 'Share of unlabelled images that count', every),
    ):
        ways = [way for way in ways if key in run.metrics[way]]
        floor = share if key == f'val/{first}' else None
        image = plot_transfer(run.metrics, ways, key, floor=floor)
        note = joined((seed_lines(*(run.metrics[way] for way in ways)), by_class.floored(run.result, floor)))
        whose = way_title(ways[0]) if len(ways) == 1 else 'each way'
        parts.append(figure(image, f'{what} during training: {whose}. {note}'))
    return section('Learning curves', beside(*parts))


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
    """The linear probe of every layer, and what training the backbone adds to it."""
    share, title = by_class.majority(run.result), main_title(run.result)
    title += ' accuracy' * (title == 'top-1')
    found = pd.DataFrame([
        {'seed': name, 'weights': what, 'layer': layer, 'chosen': layer == of.get('best'), **scores}
        for name, seed in named_seeds(run.result) for what, of in (seed.get('probe') or {}).items()
        for layer, scores in (of.get('layers') or {}).items()
    ], columns=['seed', 'weights', 'layer', 'chosen', 'dim', 'l2', 'val', 'test'])  # fmt: skip
    test = {what: own.pivot(index='seed', columns='layer', values='test') for what, own in found.groupby('weights')}
    pretrained, random = test.get('pretrained', {}), test.get('random', {})
    gains = {layer: difference(zip(*pretrained[layer].align(random[layer]))) for layer in pretrained if layer in random}
    gains = correct({layer: gain for layer, gain in gains.items() if gain})
    layers, best, rows = {}, {}, []
    for (what, layer), own in found.groupby(['weights', 'layer'], sort=False):
        val, top1 = spread(own.val), spread(own.test)
        layers.setdefault(what, {})[layer] = {'val': val, 'test': top1}
        if val and val['mean'] > best.get(what, (-1.0,))[0]:
            best[what] = val['mean'], layer, len(rows)
        dim, l2 = (
            ', '.join(number(value, 2) for value in sorted(set(own[key].dropna().tolist()))) for key in ('dim', 'l2')
        )
        gain = compared(None, gains.get(layer) if what == 'pretrained' else None)
        votes = f'{own.chosen.sum()} of {found[found.weights == what].chosen.sum()}'
        rows.append([what, layer, dim or '–', l2 or '–', percent(val), percent(top1), *gain[2:4], gain[5], votes])
    header = ['Weights', 'Layer', 'Features', 'L2', 'Validation %', 'Test %', 'Against random', '95% interval']
    about = f'Linear probe of every layer: {title}. Highlighted: the best mean on validation.'
    about += (
        f' "Against random", the same layer before training: {meaning(gains, metric=main_title(run.result))}'
        if gains
        else ''
    )
    table = grid([*header, 'p, Holm', 'Seeds that chose it'], rows, about, best=[row for _, _, row in best.values()])
    caption = (
        'Linear probe by layer. Solid: test, with standard deviation; dotted: validation; ring: chosen on validation.'
    )
    image = plot_probe(layers, {what: layer for what, (_, layer, _) in best.items()}, share, title)
    floor = by_class.floored(run.result, share)
    return section('Linear probe', beside(figure(image, joined((caption, floor))), table))


def nearest_vote(run):
    """What is nearest among frozen features: the vote of the nearest labelled images, and the nearest class mean."""
    result, rows = run.result, []
    first = main(result)
    heads = {'knn': 'neighbours', 'prototype': 'class means'}
    kinds = {head: dict.fromkeys(what for seed in seeds_of(result) for what in seed.get(head) or {}) for head in heads}
    top1 = {
        (head, what): [pick(seed, head, what, 'test', first) for seed in seeds_of(result)]
        for head in heads
        for what in kinds[head]
    }
    others = {at: top1.get((at[0], 'random'), ()) for at in top1 if at[1] != 'random'}
    gains = {at: difference(zip(top1[at], random)) for at, random in others.items()}
    gains = correct({at: gain for at, gain in gains.items() if gain})
    for (head, what), values in top1.items():
        k, val = across(result, head, what, 'k'), across(result, head, what, 'val', first)
        layers = {pick(seed, head, what, 'layer') for seed in seeds_of(result)} - {None}
        row = [what, heads[head], ', '.join(sorted(layers)), number(k['mean']) if k else '–', percent(val)]
        *cells, _, p = compared(spread(values), gains.get((head, what)))
        rows.append([*row, *cells, p])
    caption = (
        'On frozen features, by cosine similarity: the vote of the k nearest labelled images, and the nearest class '
        'mean (prototype); "random": the network before any training.' + ' By mAP.' * is_multilabel(result)
    )
    caption += f' "Against random": {meaning(gains, metric=main_title(result))}' if gains else ''
    header = ['Weights', 'By', 'Layer', 'k', 'Validation %', 'Test %', '95% interval', 'Against random', '95% interval']
    return section('Nearest neighbours and class means', grid([*header, 'p, Holm'], rows, caption))

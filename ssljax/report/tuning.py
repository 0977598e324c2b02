"""The section on what was chosen before training: WORKDIR/tuning/decisions.json as a table and small plots."""

import numpy as np

from ssljax.report.draw import COLORS, as_img, drawn, labelled, new_figure, plain_log, shorten
from ssljax.report.markup import beside, figure, grid, paragraph, part, section
from ssljax.report.words import count_of, duration, is_number, shown

SIZE = (3.2, 2.6)  # inches of a plot


def tuning(run):
    """The decisions, a plot of each that has one, and where the config with all of them is; None without any."""
    decisions = run.tuning.get('decisions')
    if not decisions:
        return None
    rows = [
        [d['field'], shown(d.get('before')), shown(d.get('value')), d.get('why', ''), duration(d.get('seconds'))]
        for d in decisions
    ]
    spent = [count_of(run.tuning['trials'], 'trial')] if is_number(run.tuning.get('trials')) else []
    spent += [duration(run.tuning['seconds'])] if is_number(run.tuning.get('seconds')) else []
    caption = 'What was chosen on validation before training' + (f', in {", ".join(spent)}' if spent else '') + '.'
    table = grid(['Field', 'Before', 'Chosen', 'Why', 'Time'], rows, caption, wide=(1, 2, 3))
    plots = [figure(plot_decision(d['plot'], d['field']), caption_of(d)) for d in decisions if d.get('plot')]
    path = run.workdir / 'tuning' / 'tuned.py'
    again = part('code', f'ssljax train --config={path}', 'wrap')
    note = paragraph('The same run with these values, without tuning:')
    return section('What was tuned', table, beside(*plots, three=True), note, again)


def caption_of(decision):
    lost = any(not is_number(value) for values in decision['plot']['series'].values() for value in values)
    crosses = ' Cross: no result.' if lost else ''
    return f'{decision["field"]}: {shown(decision.get("value"))} was chosen (dashed).{crosses}'


@drawn
def plot_decision(plot, field):
    """What the trials of one decision gave, the chosen value marked.

    Args:
      plot: {'title', 'xlabel', 'ylabel', 'xscale': 'log', 'linear' or 'category', 'x': numbers or strings,
        'series': {name: numbers or None}, 'chosen': a value of x, 'band': {'low', 'high'} or None}.
      field: the field that was chosen, for the alternative text.
    """
    image, axes = new_figure(*SIZE)
    named = plot.get('xscale') == 'category' or not all(is_number(x) for x in plot['x'])
    at = np.arange(len(plot['x'])) if named else np.asarray(plot['x'], float)
    chosen = plot['x'].index(plot['chosen']) if named and plot['chosen'] in plot['x'] else plot['chosen']
    if (band := plot.get('band')) and len(at):
        axes.fill_between(at, numbers(band['low']), numbers(band['high']), color=COLORS[0], alpha=0.15, lw=0)
    if is_number(chosen):
        axes.axvline(chosen, color='#555555', lw=1, ls='--', zorder=1.5)
    for (name, values), color in zip(plot['series'].items(), COLORS):
        marks = {'marker': 'o' if len(at) <= 30 else '', 'ms': 4, 'ls': '' if named else '-', 'label': labelled(name)}
        axes.plot(at, numbers(values), color=color, lw=1.6, **marks)
        lost = at[np.isnan(numbers(values))]
        axes.plot(lost, 0 * lost, 'x', ms=6, color=color, transform=axes.get_xaxis_transform(), clip_on=False)
        ringed = np.flatnonzero(at == chosen)
        axes.plot(at[ringed], numbers(values)[ringed], 'o', ms=11, mfc='none', mec=color, mew=1.6)
    if named:
        slanted = sum(len(str(x)) for x in plot['x']) > 24
        labels, turn = [shorten(x, 14) for x in plot['x']], {'rotation': 40, 'ha': 'right'} if slanted else {}
        axes.set_xticks(at, labels, rotation_mode='anchor', **turn)
        axes.margins(x=0.1, y=0.15)
    elif plot.get('xscale') == 'log' and (at > 0).all():
        axes.set_xscale('log')
        plain_log(axes.xaxis)
    axes.set(title=plot.get('title', ''), xlabel=plot.get('xlabel', ''), ylabel=plot.get('ylabel', ''))
    if len(plot['series']) > 1:
        axes.legend()
    return as_img(image, f'{field}: {plot.get("ylabel", "")} of {plot.get("xlabel", "")}')


def numbers(values):
    """Numbers or None as float64, NaN where there is none."""
    return np.asarray([value if is_number(value) else np.nan for value in values], float)

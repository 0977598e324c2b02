"""The section on variants: ways that train like another one with some fields of the config changed."""

from ssljax.report.compare import of_way, pick, seeds_of, variants_of, versus_scratch, versus_unchanged, ways_of
from ssljax.report.draw import as_img, drawn, new_figure, shorten
from ssljax.report.markup import figure, grid, section
from ssljax.report.plots import color_of, draw_differences
from ssljax.report.table import compared
from ssljax.report.words import shown, way_title
from ssljax.stats import BASELINE

HEADER = ['Way', 'Test top-1 %', '95% interval', 'Against unchanged', '95% interval', 'p, Holm']


def ablation(run):
    """Every variant beside the way that it derives from; '' without variants."""
    result = run.result
    variants = [entry for entry in variants_of(result) if entry[0] in ways_of(result)]
    if not variants:
        return ''
    unchanged = versus_unchanged(result)
    note = 'The difference of each variant to the way that it derives from, paired by seed.'
    note += ' Whiskers: 95% interval of the mean; points: seeds.' if len(seeds_of(result)) > 1 else ''
    return section(
        'Ablation',
        change_table(result, variants),
        score_table(result, variants, unchanged),
        figure(plot_variants(result, variants, unchanged), note),
    )


def change_table(result, variants):
    rows = [
        [name, way_title(way), field, shown(pick(result, 'config', *field.split('.'))), shown(new)]
        for name, way, changed in variants
        for field, new in changed.items()
    ]
    caption = 'What each variant changes; in all else it trains like the way that it derives from.'
    return grid(['Variant', 'Derives from', 'Field', 'Old', 'New'], rows, caption, wide=(3, 4))


def score_table(result, variants, unchanged):
    rows, first, scratch = [], [], versus_scratch(result)
    for origin in dict.fromkeys(way for _, way, _ in variants):
        first.append(len(rows))
        for way in [origin, *(name for name, base, _ in variants if base == origin)]:
            versus = None if way != origin and origin == BASELINE else scratch.get(way)
            other = compared(None, versus)
            title = way_title(way) if way == origin else f'\u2003{way}'
            own = compared(of_way(result, way, 'test', 'top1'), unchanged.get(way), len(seeds_of(result)))
            rows.append([title, *own[:4], own[5], other[2], other[5]])
    caption = (
        'What each change does. A variant stands under the way that it derives from (highlighted). Differences are in '
        'points of test top-1, paired by seed, with the 95% interval of their mean; p, Holm: two-sided, of the '
        "paired t-test, by Holm's correction for all that were compared with the same way."
    )
    return grid([*HEADER, 'Against scratch', 'p, Holm'], rows, caption, best=first)


@drawn
def plot_variants(result, variants, unchanged):
    """The difference of every variant to the way that it derives from."""
    names = [name for name, *_ in variants if unchanged.get(name)]
    if not names:
        return ''
    image, axes = new_figure(6.4, 0.8 + 0.4 * len(names))
    draw_differences(axes, names, unchanged, [color_of(result, name) for name in names])
    axes.set_yticks(range(len(names)), [shorten(name, 30) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel('Difference to the unchanged way (points)')
    return as_img(image, 'Difference of each variant to the way that it derives from')

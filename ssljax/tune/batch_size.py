"""Batch size: doubled until memory or speed ends it; the knee of measured throughput."""

from ssljax.processes import hosts
from ssljax.tune.decision import Decision, changed, get, plot, undecided

ENOUGH = 0.9  # of the best throughput
SECONDS = 0.7  # of training over which a throughput is measured
FIRST = 32  # 16 where there are few images


def decide(bench, way: str, config, until: float) -> list[Decision]:
    """The smallest batch with at least ENOUGH of the best throughput among those that fit; tried up to tuning.batch_max
    and a tenth of the images, so that few labels still give steps, but always up to 32.

    Args:
      bench: bench.Bench.
      way: of training.
      config: the run's.
      until: time.time() at which the last measurement may begin.
    """
    began = hosts.now()
    field = 'semi.batch_size' if way != 'scratch' else 'transfer.batch_size'
    if began + 2 * bench.fixed[True] > until:
        return [undecided(config, field, detail=f' (each size takes {bench.fixed[True]:.0f} s to compile)')]
    rates, ended = measure(bench, way, config, field, until)
    fit = {size: rate for size, rate in rates.items() if rate}
    before = get(config, field)
    if not fit or len(rates) < 2:
        why = f'not decided: {len(fit)} sizes could be measured, too few to choose from ({ended})'
        return [Decision(field, before, before, why, hosts.now() - began)]
    value, best = knee(fit), max(fit.values())
    why = (
        f'{value} images per step give {fit[value]:.0f} images per second, {100 * fit[value] / best:.0f}% of the best '
        f'of {len(fit)} sizes from {min(fit)} to {max(fit)} ({best:.0f} at {max(fit, key=fit.__getitem__)}); {ended}'
    )
    rates = dict(sorted(rates.items()))
    picture = plot(
        'Batch size', 'images per step', 'images per second', rates, {way: rates.values()}, value, xscale='log'
    )
    return [Decision(field, before, value, why, hosts.now() - began, picture)]


def measure(bench, way, config, field, until) -> tuple[dict, str]:
    """({size: images per second, None if memory was not enough}, why there is no larger one)."""
    limit = max(min(bench.images(way) // 10, config.tuning.batch_max), 32)
    devices = bench.run.mesh.size
    size = -(-(FIRST if limit > FIRST else FIRST // 2) // devices) * devices
    rates: dict = {}
    steps = 12 * bench.per_call(config)
    while size <= limit or not rates:
        if rates and hosts.now() + bench.fixed[True] > until:
            return rates, 'larger ones were not tried for lack of time'
        out = bench.train(way, changed(config, {field: size}), steps, evals=1, images=1)
        if out.failed == 'memory':
            rates[size] = None
            if any(rates.values()) or size // 2 < devices or size // 2 % devices:
                return rates, f'{max(rates)} do not fit in memory'
            size //= 2
            continue
        if out.failed == 'time':
            return rates, 'larger ones were not tried for lack of time'
        rates[size] = out.rate
        if None in rates.values():
            return rates, f'{2 * size} do not fit in memory'
        if len(rates) > 2 and max(rates, key=rates.__getitem__) not in list(rates)[-2:]:
            return rates, 'the last two doublings gained nothing'
        size *= 2
        steps = min(max(int(SECONDS * (out.rate or 1) / size), 6 * bench.per_call(config)), 400)
    return rates, f'{limit} is the maximum for {bench.images(way)} images'


def knee(rates: dict[int, float]) -> int:
    """The smallest size with at least ENOUGH of the best rate."""
    return min(size for size, rate in rates.items() if rate >= ENOUGH * max(rates.values()))

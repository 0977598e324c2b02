"""What tuning decided: its record, and a config file that needs no tuning."""

from typing import NamedTuple

from ssljax import config as configs


class Decision(NamedTuple):
    """One field of the config. `why`: a sentence with the measured numbers. `plot`: None, or what `plot` returns."""

    field: str
    before: object
    value: object
    why: str
    seconds: float
    plot: dict | None = None


NO_TIME = 'not decided: no time'


def undecided(config, field: str, seconds: float = 0.0, detail: str = '') -> Decision:
    """The Decision that leaves a field as it is for lack of time."""
    value = get(config, field)
    return Decision(field, value, value, NO_TIME + detail, seconds)


def plot(title: str, xlabel: str, ylabel: str, x, series: dict, chosen, *, xscale='linear', band=None) -> dict:
    """The data of a plot: x are numbers, or strings if xscale is 'category'; series are {name: values, None where there
    is none}; band is None or (low, high), values beside x."""
    return {
        'title': title, 'xlabel': xlabel, 'ylabel': ylabel, 'xscale': xscale, 'x': list(x),
        'series': {name: list(values) for name, values in series.items()}, 'chosen': chosen,
        'band': band and {'low': list(band[0]), 'high': list(band[1])},
    }  # fmt: skip


def record(decisions: list[Decision], seconds: float, trials: int) -> dict:
    """The content of decisions.json."""
    return {'seconds': seconds, 'trials': trials, 'decisions': [d._asdict() for d in decisions]}


def merge(decisions: list[Decision], found: list[Decision]) -> None:
    """Adds what was found; a second decision on a field is merged into the first."""
    places = {d.field: i for i, d in enumerate(decisions)}
    for d in found:
        if d.field not in places:
            decisions.append(d)
            continue
        first = decisions[places[d.field]]
        decisions[places[d.field]] = first._replace(
            value=d.value,
            why=f'{first.why}; then {d.why}',
            seconds=first.seconds + d.seconds,
            plot=first.plot | {'chosen': d.value} if first.plot else d.plot,
        )


def get(config, field: str):
    """The value of a dotted field."""
    for name in field.split('.'):
        config = config[name]
    return config


def changed(config, values: dict):
    """A copy of the config with {dotted field: value}."""
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(values)
    return config


def apply(config, decisions: list[dict]):
    """A copy of the config with the decisions of a record, in order."""
    values = {d['field']: d['value'] for d in decisions}
    return changed(config, {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def recipe(config, decisions: list[dict], path) -> str:
    """The text of a config file for a tuned `config`: base and all fields that differ from it, with the reasons of
    those that were decided. path: where it will lie, for its docstring."""
    why = {d['field']: d['why'] for d in decisions}
    base, given, chosen = configs.base(), [], []
    for field in configs.field_names(config):
        value = get(config, field)
        if field == 'tune' or field.startswith('tuning.') or value == get(base, field) and field not in why:
            continue
        line = f'    c.{field} = {value!r}\n'
        if field in why:
            chosen.append(f'    # {why[field]}\n{line}')
        else:
            given.append(line)
    return (
        f'"""{config.name}, tuned; decisions.json next to this file has the reasons and their data.\n\n'
        f'ssljax train --config={path}\n"""\n\nfrom ssljax.config import base\n\n\n'
        f'def get_config():\n    c = base()\n{"".join(given)}{"".join(chosen)}    return c\n'
    )

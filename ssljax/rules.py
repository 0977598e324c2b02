"""Rules over the names of parameters, 'regex=value; regex=value': the first full match wins."""

import re
from collections.abc import Callable

import jax

from ssljax.text.wording import shown


def by_name(rules: str, params, read: Callable, what: str, form: str, end: str) -> dict:
    """A tree like `params` with the value that the first full-matching rule gives to each parameter.

    Args:
      rules: matched against names such as 'backbone/conv1/kernel'.
      params: the parameter tree.
      read: (text) -> the value of a rule; raises ValueError if it is not a value.
      what: what messages call a rule, such as 'optimiser rule'.
      form: what they call a value.
      end: the rule that covers every parameter, for messages.

    Raises:
      ValueError: a rule that cannot be read, or a parameter that none covers.
    """
    table = []
    for rule in filter(None, (r.strip() for r in rules.split(';'))):
        pattern, _, value = rule.rpartition('=')
        try:
            table.append((re.compile(pattern), read(value)))
        except (re.error, ValueError) as e:
            raise ValueError(f'{what} {shown(rule)} is not of the form regex={form} ({e}).') from None

    def first(path, leaf):
        name = path_name(path)
        for pattern, found in table:
            if pattern.fullmatch(name):
                return found
        raise ValueError(f'no {what} of {shown(rules)} matches the parameter {name}: end with "{end}".')

    return jax.tree_util.tree_map_with_path(first, params)


def path_name(path) -> str:
    """'backbone/conv1/kernel' of a jax key path."""
    return '/'.join(str(getattr(k, 'key', getattr(k, 'name', getattr(k, 'idx', k)))) for k in path)

"""What every file of results begins with, what is said of repeated measurements, and names that a command line gives.
Neither JAX nor PyTorch is imported here."""

import datetime
import difflib
import json
import re
import shlex
import statistics
import subprocess
import sys

from benchmarks.worker import ROOT

_ASK = 'import json; from ssljax.records import provenance as p; print(json.dumps([p.hardware(), p.versions()]))'


def begin(module: str, argv) -> dict:
    """{'date', 'command', 'hardware', 'versions'}. A process of its own starts the device and lets go of it, so that
    those which are measured find it free."""
    done = subprocess.run([sys.executable, '-c', _ASK], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    hardware, versions = json.loads(done.stdout.splitlines()[-1])
    return {
        'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'command': shlex.join(['python', '-m', f'benchmarks.{module}', *map(_short, argv)]),
        'hardware': hardware,
        'versions': versions,
    }


def _short(argument: str) -> str:
    """With the last part alone of an absolute path, whose folders say nothing to others."""
    return re.sub(r'(?<![^=:])/[^=:]*/', '', argument)


def spread(values: list[float]) -> dict:
    """Median, least and largest of what the rounds gave, and all of it."""
    return {'median': statistics.median(values), 'least': min(values), 'largest': max(values), 'rounds': values}


def ratio(own: dict, other: dict) -> dict:
    """Of the medians of two spreads of the same rounds, with the least and largest of a round."""
    rounds = [a / b for a, b in zip(own['rounds'], other['rounds'])]
    return {'median': own['median'] / other['median'], 'least': min(rounds), 'largest': max(rounds)}


def known_names(names, known, what: str) -> None:
    """Raises ValueError for a name that is not `known`, with the nearest."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(f'there is no {what} {name!r}; did you mean {near!r}? Known are {", ".join(known)}.')


def check_rounds(parser, given) -> None:
    """Ends the process with a message where a command line's rounds or seconds of a round are none."""
    if given.rounds < 1 or not given.seconds > 0:
        parser.error(
            f'--rounds={given.rounds} and --seconds={given.seconds}: the first must be 1 or more, the other above 0.'
        )

"""What every file of results has, and what is said of repeated measurements."""

import datetime
import shlex
import statistics

from ssljax import provenance


def begin(module: str, argv) -> dict:
    """Date, command, hardware and versions, and no 'rows' yet."""
    return {
        'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'command': shlex.join(['python', '-m', module, *argv]),
        'hardware': provenance.hardware(),
        'versions': provenance.versions(),
        'rows': [],
    }


def spread(values: list[float]) -> dict:
    """Median, least and largest of what the rounds gave, and all of it."""
    return {'median': statistics.median(values), 'least': min(values), 'largest': max(values), 'rounds': values}


def ratio(own: dict, other: dict) -> dict:
    """Of the medians of two spreads of the same rounds, with the least and largest of a round."""
    rounds = [a / b for a, b in zip(own['rounds'], other['rounds'])]
    return {'median': own['median'] / other['median'], 'least': min(rounds), 'largest': max(rounds)}

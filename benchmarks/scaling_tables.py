"""The tables of docs/scaling.md: what benchmarks/scaling.py counted and measured, set against vendors' numbers."""

from typing import NamedTuple

from benchmarks.markdown import markdown
from benchmarks.vendors import BATCHES, DEVICES, IMAGENET, IMAGENET_BYTES, SCHEDULES, Device

COUNTS = 8, 64, 512
UTILISATION = 0.4  # of the peak: what well-tuned programs of these networks reach; assumed, not measured here
STORES = (0.2e9, 1e9, 5e9)  # bytes/s
EVERY = 60  # seconds between checkpoints, the default of save_every


class Bounds(NamedTuple):
    """Seconds that a step takes at least, by what may limit it; None where a number is missing."""

    arithmetic: float
    memory: float | None
    link: float
    network: float | None

    def largest(self) -> str:
        """The name of the bound that is reached first."""
        return max((name for name in self._fields if getattr(self, name) is not None), key=lambda n: getattr(self, n))


def row_of(record: dict, job: str, kind: str, devices: int) -> tuple[dict, int]:
    """The row of a job that was compiled for so many devices of a kind, or else for the nearest of what there is: the
    program of one device is the same on any number, apart from who takes part in a collective. Also how many devices it
    was compiled for.

    Raises:
      ValueError: the job was not compiled at all.
    """
    rows = [row for row in record['rows'] if row['job'] == job]
    if not rows:
        raise ValueError(f'{job} has no program in scaling.json: run benchmarks.scaling.')
    found = min(rows, key=lambda row: (row['kind'] != kind, abs(row['devices'] - devices)))
    return found, found['devices']


def all_reduced(row: dict) -> float:
    """Bytes that a step sums over all devices."""
    return sum(row['collectives'].get(op, {'bytes': 0})['bytes'] for op in ('all-reduce', 'reduce-scatter'))


def sent(nbytes: float, devices: int, slice: int) -> tuple[float, float]:
    """(bytes that a device sends within its slice, bytes that it sends beyond) for an all-reduce of `nbytes`: rings
    within each slice, and of each device's share between slices."""
    within, slices = min(devices, slice), max(devices // slice, 1)
    return 2 * (within - 1) / within * nbytes, 2 * (slices - 1) / slices * nbytes / within


def bounds(record: dict, job: str, kind: str, devices: int, images: int = 0) -> Bounds:
    """Of a job on so many devices of a kind, with `images` on each, by default the program's; what is summed does
    not depend on them."""
    device = DEVICES[kind]
    row, _ = row_of(record, job, kind, devices)
    share = images / row['batch'] if images else 1.0
    within, beyond = sent(all_reduced(row), devices, device.slice)
    network = beyond / device.network_s if device.network_s else None if beyond else 0.0
    memory = share * row['bytes'] / device.memory_s if row['kind'] == kind else None
    return Bounds(share * flop(record, job, row) / device.flop_s, memory, within / device.link_s, network)


def flop(record: dict, job: str, row: dict) -> float:
    """Of a step on one device, as counted before any optimisation."""
    return record['jobs'][job]['flop_image'] * row['batch']


def images_s(record: dict, job: str, kind: str) -> float:
    """Images a second of one device at UTILISATION of its peak."""
    return UTILISATION * DEVICES[kind].flop_s / record['jobs'][job]['flop_image']


def devices(record: dict) -> str:
    """Vendors' numbers."""
    rows = [
        [
            d.title, f'{d.flop_s / 1e12:,.0f}', f'{d.memory / 1e9:.0f}', f'{d.memory_s / 1e9:,.0f}',
            f'{d.link_s / 1e9:,.0f} among {d.slice}', f'{d.network_s / 1e9:,.1f}' if d.network_s else 'not found',
            d.source,
        ]
        for d in DEVICES.values()
    ]  # fmt: skip
    header = ['device', 'TFLOP/s', 'GB', 'GB/s of memory', 'GB/s sent within', 'GB/s sent beyond', 'source']
    return markdown(header, rows)


def programs(record: dict) -> str:
    """What the compiler says of each program."""
    rows = []
    for row in sorted(record['rows'], key=lambda r: (r['job'], r['kind'], r['devices'])):
        reduced = row['collectives'].get('all-reduce', {'count': 0, 'bytes': 0, 'wire': 0.0})
        own = row['kind'] in DEVICES
        others = [f'{c["count"]} {op}' for op, c in row['collectives'].items() if op != 'all-reduce']
        rows.append(
            [
                f'{row["job"]}, {DEVICES[row["kind"]].title if own else "simulated"}',
                f'{row["devices"]}',
                f'{row["batch"]}',
                f'{row["flop"] / 1e9:,.0f}' if own else '',
                f'{row["bytes"] / 1e9:,.1f}' if own else '',
                f'{row["memory"]["total"] / 1e9:,.2f}' if own else '',
                f'{reduced["count"]}',
                f'{reduced["bytes"] / 1e6:,.1f}',
                f'{reduced["wire"] / 1e6:,.1f}',
                ', '.join(others) or 'none',
            ]
        )
    header = ['program', 'devices', 'images of a device', 'GFLOP', 'GB moved', 'GB needed', 'all-reduces', 'MB summed']
    return markdown([*header, 'MB sent', 'other collectives'], rows)


def limits(record: dict) -> str:
    """Which bound is reached."""
    rows = []
    for job in dict.fromkeys(row['job'] for row in record['rows']):
        usual = row_of(record, job, '', COUNTS[0])[0]['batch']
        cases = [(count, usual) for count in COUNTS]
        cases += [(COUNTS[-1], BATCHES[job] // COUNTS[-1])] if job in BATCHES else []
        for kind, device in DEVICES.items():
            for count, images in cases:
                found = bounds(record, job, kind, count, images)
                ms = [f'{1000 * s:,.1f}' if s is not None else '' for s in found]
                rows.append([f'{job}, {device.title}', f'{count}', f'{images}', *ms, found.largest()])
    header = ['step', 'devices', 'images of a device', 'arithmetic ms', 'memory ms', 'link ms', 'network ms']
    return markdown([*header, 'the largest'], rows)


def feeding(record: dict) -> str:
    """What the hosts must bring."""
    stored, rate = IMAGENET_BYTES / IMAGENET, record['decoding']['images_s']['median']
    rows = []
    for job in dict.fromkeys(row['job'] for row in record['rows']):
        for kind, device in DEVICES.items():
            one = images_s(record, job, kind)
            for count in COUNTS:
                total = one * count
                rows.append(
                    [
                        f'{job}, {device.title}',
                        f'{count}',
                        f'{total:,.0f}',
                        f'{total * record["jobs"][job]["input"] / 1e6:,.0f}',
                        f'{total * stored / 1e6:,.0f}',
                        f'{min(count, device.host) * one / rate:,.0f}',
                    ]
                )
    header = ['step', 'devices', 'images/s', 'MB/s to devices', 'MB/s from storage', 'cores of a host that decode']
    return markdown(header, rows)


def checkpoints(record: dict) -> str:
    """How large they are, and how long they take."""
    rows = []
    for name, own in record['saving'].items():
        job = record['jobs'][name]
        times = [f'{own[kind]["median"]:.1f}' for kind in ('write', 'read')]
        computed = [f'{job["checkpoint"] / store:,.1f}' for store in STORES]
        share = f'{100 * own["write"]["median"] / EVERY:.2f}%'
        rows.append([name, f'{job["parameters"]:,}', f'{job["checkpoint"] / 1e6:,.0f}', *times, share, *computed])
    header = ['job', 'parameters', 'MB', 'written here, s', 'read here, s', f'of {EVERY} s']
    return markdown([*header, *(f'at {store / 1e9:g} GB/s, s' for store in STORES)], rows)


def costs(record: dict) -> str:
    """Device-hours of published schedules on ImageNet."""
    rows = []
    for schedule in SCHEDULES:
        total = record['jobs'][schedule.job]['flop_image'] * schedule.epochs * IMAGENET
        hours = [f'{device_hours(total, device):,.0f}' for device in DEVICES.values()]
        rows.append([f'{schedule.title}, {schedule.source}', f'{schedule.epochs}', f'{total / 1e18:,.1f}', *hours])
    return markdown(['schedule', 'epochs', 'EFLOP', *(f'hours of {d.title}' for d in DEVICES.values())], rows)


def device_hours(total: float, device: Device) -> float:
    """Hours of one device for so many FLOP at UTILISATION of its peak."""
    return total / (UTILISATION * device.flop_s) / 3600


def decoding(record: dict) -> str:
    """How fast a core decodes."""
    found = record['decoding']
    rates = [f'{found["images_s"][k]:,.0f}' for k in ('median', 'least', 'largest')]
    header = ['decoded here by one core', 'kB of a file', 'images/s', 'least', 'largest']
    return markdown(header, [['photographs enlarged to 500x375', f'{found["bytes"] / 1e3:,.0f}', *rates]])


TABLES = {f'scaling:{t.__name__}': t for t in (devices, programs, limits, feeding, decoding, checkpoints, costs)}

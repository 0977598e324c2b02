"""What a compiled program sends between devices, read from its text (HLO)."""

import math
import re
from typing import NamedTuple

OPS = 'all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute', 'send'
_LINE = re.compile(rf'^\s*(?:ROOT )?%?[\w.-]+ = (.*?) ({"|".join(OPS)})(-start)?\(', re.MULTILINE)
_ARRAY = re.compile(r'\b(pred|[a-z]+\d+(?:e\d\w*)?)\[([\d,]*)\]')
_GROUPS = re.compile(r'replica_groups=(?:\{\{([\d,]*)\}|\[\d+,(\d+)\]<=|mesh\[([^\]]*)\] \{([^}]*)\})')


class Collective(NamedTuple):
    """op: one of OPS. nbytes: of the result on one device, of a send: of what is sent. group: devices that take part;
    0 where the text does not say."""

    op: str
    nbytes: int
    group: int

    def wire(self, devices: int) -> float:
        """Bytes that a device sends in a ring, the least that any algorithm needs where each has all of the operand
        (Patarasuk & Yuan, JPDC 2009): twice (n - 1) / n of an all-reduce."""
        n = self.group or devices
        factor = {'all-reduce': 2 * (n - 1) / n, 'all-gather': (n - 1) / n, 'all-to-all': (n - 1) / n}
        return self.nbytes * (factor | {'reduce-scatter': n - 1}).get(self.op, 1.0)


def collectives(text: str) -> list[Collective]:
    """Those of a program of one device (`compiled.as_text()`), in order. The body of a loop counts once."""
    found = []
    for match in _LINE.finditer(text):
        kind, op, start = match.groups()
        sizes = [size_of(*array) for array in _ARRAY.findall(kind)]
        if start and op in ('all-gather', 'collective-permute'):  # (operands, results, and of a permute two counters)
            sizes = sizes[: 2 * (len(sizes) // 2)][len(sizes) // 2 :] if op == 'all-gather' else sizes[1:2]
        elif op == 'send':
            sizes = sizes[:1]  # (operand, a counter, a token)
        line = text[match.start() : text.find('\n', match.end())]
        found.append(Collective(op, sum(sizes), _group(line)))
    return found


def size_of(dtype: str, dims: str) -> int:
    """Bytes of an array, of HLO's name of a type and its dimensions: ('bf16', '8,128') -> 2048."""
    bits = 8 if dtype == 'pred' else int(re.search(r'\d+', dtype)[0])
    return math.ceil(bits / 8 * math.prod(int(d) for d in dims.split(',') if d))


def _group(line: str) -> int:
    if (match := _GROUPS.search(line)) is None:
        return 0
    listed, iota, mesh, axes = match.groups()
    if listed is not None:
        return len(listed.split(','))
    if iota is not None:
        return int(iota)
    sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", mesh)}
    return math.prod(sizes[name] for name in re.findall(r"'(\w+)'", axes))


def summary(found: list[Collective], devices: int) -> dict:
    """{op: {'count', 'bytes', 'wire'}} of those that there are; wire: as `Collective.wire`."""
    return {
        op: {
            'count': len(own),
            'bytes': sum(c.nbytes for c in own),
            'wire': sum(c.wire(devices) for c in own),
        }
        for op in OPS
        if (own := [c for c in found if c.op == op])
    }

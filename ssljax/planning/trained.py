"""What a plan trains: the ways that were given, or those that suit the data, and the stages behind them."""

from typing import NamedTuple

from ssljax.methods import SEMI
from ssljax.stages import kind_of


class Trained(NamedTuple):
    """What is trained beside scratch.

    parts: at most 'pretrain' and 'joint', the one to be kept first in front. task: the pretext task. way: how its
    weights are used, 'frozen' or 'finetune'. joint: the joint method. given: the ways that were given, in place of
    these; none of them is left out if time is short. pretrains: False if the weights of the backbone are given. shared:
    one pretraining is for all seeds. steps: (stage, steps) of those that were given.
    """

    parts: tuple
    task: str
    way: str
    joint: str
    given: tuple = ()
    pretrains: bool = True
    shared: bool = False
    steps: tuple = ()

    @property
    def ways(self) -> tuple[str, ...]:
        """transfer.ways."""
        own = {'pretrain': self.way, 'joint': self.joint}
        return self.given or ('scratch', *(own[part] for part in ('pretrain', 'joint') if part in self.parts))

    @property
    def pretraining(self) -> bool:
        """Whether a backbone is pretrained."""
        return 'pretrain' in self.parts and self.pretrains

    @property
    def kinds(self) -> list[str]:
        """The kinds of stage whose speed is measured; that of the others follows from scratch."""
        joint = [way for way in self.ways if way in SEMI]
        return ['scratch', *(['pretrain'] if self.pretraining else []), *joint]

    def first(self, parts: int) -> 'Trained':
        """With only the first `parts` of its parts."""
        return self if self.given else self._replace(parts=self.parts[:parts])

    def called(self, part: str) -> str:
        """A part in words."""
        return f'{self.task} pretraining' if part == 'pretrain' else self.joint


def stage(way: str) -> str:
    """The part of the config that says how long a way is trained."""
    return 'semi' if way in SEMI else f'transfer.{kind_of(way)}'

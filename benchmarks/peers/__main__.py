"""A peer's side of `benchmarks.steps`.

python -m benchmarks.peers JOB_AS_JSON DTYPE [--compile]     (started by benchmarks.steps; speaks worker.py's lines)
"""

import json
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import worker
from benchmarks.jobs import CLASSES, Job
from benchmarks.peers import tasks

IMAGES = 1024  # on the device, or twice the batch


class Peer:
    """A job's networks, optimisers and images on the device. bfloat16 is autocast."""

    def __init__(self, job: Job, dtype: str, device: str):
        self.job, self.device, self.cast = job, device, dtype == 'bfloat16'
        self.net = tasks.parts(job).to(device, memory_format=torch.channels_last).train()
        self.ema = [p.detach().clone() for p in self.net.parameters()] if job.task == 'fixmatch' else None
        self.optimisers = {}
        count = max(IMAGES if job.size < 128 else 256, 2 * job.batch)
        self.images = torch.randint(256, (count, job.size, job.size, 3), dtype=torch.uint8, device=device)
        self.labels = torch.randint(CLASSES, (count,), device=device)

    def step(self) -> None:
        """One step, all its turns."""
        batch = {'image': self._draw(self.job.batch)[0]}
        batch['labeled'], batch['label'] = self._draw(self.job.labeled or self.job.batch)
        if not self.job.labeled:
            batch['image'] = batch.pop('labeled')
        with torch.autocast(self.device, torch.bfloat16, enabled=self.cast):
            for own, loss in tasks.LOSSES[self.job.task](self.job, self.net, batch, self.ema):
                optimiser = self._optimiser(own)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()

    def run(self, steps: int) -> int:
        """`steps` steps, after which the device is done."""
        for _ in range(steps):
            self.step()
        if self.device == 'cuda':
            torch.cuda.synchronize()
        return steps

    def peak(self) -> dict:
        """As ours.peak_memory."""
        if self.device == 'cuda':
            return {'peak_memory': torch.cuda.max_memory_allocated(), 'peak_memory_of': 'device'}
        return {'peak_memory': worker.peak_rss(), 'peak_memory_of': 'process'}

    def _draw(self, count: int):
        rows = torch.randint(len(self.images), (count,), device=self.device)
        return self.images[rows].permute(0, 3, 1, 2).float() / 255, self.labels[rows]

    def _optimiser(self, own):
        """That of the parts `own`; weights of more than one axis decay."""
        if own not in self.optimisers:
            weights = [p for name in own for p in self.net[name].parameters()]
            decay = 0.0 if self.job.task == 'sgan' else 5e-4
            groups = [
                {'params': [p for p in weights if p.ndim > 1], 'weight_decay': decay},
                {'params': [p for p in weights if p.ndim == 1], 'weight_decay': 0.0},
            ]
            if self.job.optimiser == 'sgd':
                self.optimisers[own] = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)
            else:
                b1 = 0.5 if self.job.task == 'sgan' else 0.9
                self.optimisers[own] = torch.optim.AdamW(groups, lr=1e-3, betas=(b1, 0.999))
        return self.optimisers[own]


def flop(peer: Peer) -> int:
    """Of one step, which it takes without torch.compile."""
    with torch.compiler.set_stance('force_eager'), FlopCounterMode(display=False) as counter:
        peer.step()
    return counter.get_total_flops()


def main(text: str, dtype: str, *flags: str) -> None:
    """Serves one job."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision('high')  # TF32 on a GPU, as JAX does by default
    peer = Peer(Job(**json.loads(text)), dtype, device)
    if '--compile' in flags:
        torch._dynamo.config.recompile_limit = 64  # one class of block, many shapes
        for part in peer.net.values():
            part.compile()
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in peer.net.items()}
    ready = {'parameters': parameters, 'torch': torch.__version__, 'device': device}
    ready['threads'] = torch.get_num_threads()
    worker.serve(ready, peer.run, lambda: peer.peak() | {'flop': flop(peer)})


if __name__ == '__main__':
    main(*sys.argv[1:])

"""The peers have our networks and do our work."""

import jax
import pytest

from benchmarks import jobs, ours

torch = pytest.importorskip('torch')


def parameters(job) -> dict:
    """{part: parameters} of our side."""
    method = ours.method_of(job, ours.config_of(job, 'float32'))[0]
    batch = {'image': jax.ShapeDtypeStruct((1, job.size, job.size, 3), 'uint8'), 'unlabeled_count': 64}
    shapes = jax.eval_shape(lambda key: method.init(key, batch), jax.random.key(0))['params']
    return {part: sum(a.size for a in jax.tree.leaves(tree)) for part, tree in shapes.items()}


@pytest.mark.parametrize('accelerator, name', [(a, name) for a in (False, True) for name in jobs.table(a)])
def test_each_part_has_as_many_parameters_as_ours(accelerator, name):
    from benchmarks.peers import tasks

    job = jobs.table(accelerator)[name]
    with torch.device('meta'):
        theirs = tasks.parts(job)
    assert {part: sum(p.numel() for p in net.parameters()) for part, net in theirs.items()} == parameters(job)


@pytest.mark.parametrize('name', jobs.table(False))
def test_a_step_of_the_peer_has_a_gradient_for_every_parameter(name):
    from benchmarks.peers.__main__ import Peer

    job = jobs.table(False)[name]._replace(batch=4)
    if job.labeled:
        job = job._replace(labeled=4)
    torch.manual_seed(0)
    peer = Peer(job, 'float32', 'cpu')
    peer.run(2)  # in the first, scales that begin with zero let nothing through
    for part, net in peer.net.items():
        for parameter in net.parameters():
            assert torch.isfinite(parameter).all() and parameter.grad.abs().max() > 0, part

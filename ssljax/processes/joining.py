"""How a process joins the others of its run: what it is given, or JAX detects, and where they meet."""

import os
import re

from ssljax.processes import hosts, peers, rendezvous

VARIABLES = 'JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'
AUTO = 'auto'
_ADVICE = (
    'Start every one with the same --coordinator and --processes and its own --process (launch/), or leave them out to '
    'train on this machine alone.'
)


def start(coordinator: str = '', count: int | None = None, index: int | None = None, detect: bool = True) -> None:
    """Joins the processes of a run, before anything touches a device.

    Args:
      coordinator: HOST:PORT of the first process, 'auto' for what JAX detects, or ''.
      count, index: how many processes there are, and which one this is, from 0. Either, and the coordinator, may come
        from the VARIABLES instead.
      detect: with nothing given, join the tasks of a SLURM step, of mpirun or of a TPU slice if there are several.

    Raises:
      ValueError: the others cannot be joined; the message says what to give.
    """
    values = [os.environ.get(name) for name in VARIABLES]
    coordinator = coordinator or values[0] or ''
    count = _number(VARIABLES[1], values[1]) if count is None else count
    index = _number(VARIABLES[2], values[2]) if index is None else index
    given = f'JAX_COORDINATOR_ADDRESS={coordinator}' if values[0] == coordinator else f'--coordinator={coordinator}'
    _check_given(coordinator, count, index, given)
    if not coordinator and count in (None, 1):
        if not (detect and detected()):
            return
        coordinator = AUTO
    if count == 1 and coordinator != AUTO:
        return
    if not coordinator:
        raise ValueError(
            f'--processes={count} without --coordinator=HOST:PORT, the address of process 0, where they meet: give it '
            'to all, or leave --processes out to train on this machine alone.'
        )
    if coordinator == AUTO:
        coordinator = ''
    elif index is not None and count is not None:
        _meet(coordinator, count, index, given)
    elif not ('SLURM_JOB_ID' in os.environ or 'KUBERNETES_SERVICE_HOST' in os.environ or detected()):
        raise ValueError(
            f'{given} without --processes and --process: no scheduler that JAX knows says how many there are, and '
            'which one this is; give both.'
        )
    _join(coordinator, count, index, given)


def _check_given(coordinator: str, count: int | None, index: int | None, given: str) -> None:
    """Raises ValueError for arguments that make no sense, wherever it would join."""
    if coordinator not in ('', AUTO) and not _is_address(coordinator):
        raise ValueError(
            f'{given.split("=")[0]}={coordinator!r} is not an address of the form HOST:PORT, such as 10.0.0.1:1234: '
            'give that of the first process, or leave it out to train on this machine alone.'
        )
    if index is not None and count is not None and not 0 <= index < count:
        raise ValueError(f'--process={index} of --processes={count}: they are numbered from 0 to {max(count - 1, 0)}.')
    if (index is None) != (count is None) and (count, index) != (1, None):
        known = f'--processes={count}' if index is None else f'--process={index}'
        raise ValueError(f'{known}: --processes and --process go together: give how many there are, and which this is.')


def _is_address(text: str) -> bool:
    found = re.fullmatch(r'(\[[0-9a-fA-F:.]+\]|[^\s:/]+):([1-9][0-9]{0,4})', text)
    return found is not None and int(found[2]) < 2**16


def _meet(coordinator: str, count: int, index: int, given: str) -> None:
    try:
        rendezvous.meet(coordinator, count, index, _patience())
    except ValueError as e:
        raise ValueError(f'{given}: cannot join the other processes ({e}). {_ADVICE}') from None
    except OSError as e:
        raise ValueError(
            f'{given}: process 0 cannot open port {coordinator.rpartition(":")[2]} here ({e.strerror or e}). Another '
            'process may have been started with --process=0, or another program uses the port: number the processes '
            'from 0, or choose another port.'
        ) from e


def _patience() -> int:
    return int(os.environ.get('SSLJAX_JOIN_TIMEOUT', 300))


def _number(name: str, value: str | None) -> int | None:
    if value is None or value == '':
        return None
    if not value.isdecimal():
        raise ValueError(f'{name}={value!r} is not a number.')
    return int(value)


def detected() -> bool:
    """Whether the environment is that of one of several processes, as SLURM (srun), Open MPI and a TPU slice on
    Kubernetes set it. Kubernetes and TPU virtual machines elsewhere are asked for with 'auto': to find out, JAX calls
    their services."""
    several = lambda name: os.environ.get(name, '').isdecimal() and int(os.environ[name]) > 1
    slurm = several('SLURM_STEP_NUM_TASKS') and several('SLURM_NTASKS') and 'SLURM_PROCID' in os.environ
    mpi = several('OMPI_COMM_WORLD_SIZE') and 'OMPI_MCA_orte_hnp_uri' in os.environ
    return slurm or mpi or ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')


def _join(coordinator: str, count: int | None, index: int | None, given: str) -> None:
    import jax  # not at the top: nothing here needs it where there is one process

    jax.config.update('jax_enable_preemption_service', False)  # it would catch SIGTERM, and no other signal
    beats = 2 * round(peers.lost_after()) + 10  # JAX's own limit, in case this package's thread is stuck, too
    patience = _patience()
    try:
        jax.distributed.initialize(
            coordinator or None, count, index, initialization_timeout=patience, heartbeat_timeout_seconds=beats,
            shutdown_timeout_seconds=30,
        )  # fmt: skip
    except Exception as e:
        late = 'DEADLINE_EXCEEDED' in str(e)
        why = f'not all of them joined within {patience} s' if late else str(e).splitlines()[0].rstrip('.')
        raise ValueError(f'{given}: JAX cannot join the other processes ({why}). {_ADVICE}') from e
    hosts.here()

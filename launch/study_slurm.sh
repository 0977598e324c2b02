#!/usr/bin/env bash
#> sbatch
# A study as a SLURM array: every task is a worker on the same directory, which must be on a file system that all nodes
# see. A task that is preempted, or at its limit, saves and is requeued; the others take over from one that dies. Start
# more arrays on the same directory at any time; tasks that find nothing to do end immediately.
#
#: name=ssljax-study      of the job
#: tasks=16               workers
#: gpus=1                 GPUs of a worker
#: cpus=8                 CPU cores of a worker
#: time=04:00:00          limit of one allocation
#: grace=120              seconds before the limit at which it is told to save
#: partition=             of the cluster; by default Slurm's
#: account=               that is charged; by default Slurm's
#: log=%x-%A_%a.log       where the output of a task goes
#: setup=                 a shell command before the run, such as 'source /shared/ssljax/bin/activate'
#SBATCH --job-name={{ name }}
#SBATCH --array=0-{{ tasks | int - 1 }}
#SBATCH --ntasks=1
#SBATCH --gpus-per-node={{ gpus }}
#SBATCH --cpus-per-task={{ cpus }}
#SBATCH --time={{ time | shell }}
#SBATCH --signal=B:USR1@{{ grace }}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={{ log | shell }}
{% if partition %}
#SBATCH --partition={{ partition | shell }}
{% endif %}
{% if account %}
#SBATCH --account={{ account | shell }}
{% endif %}
set -uo pipefail
{% if setup %}
{{ setup }} || exit
{% endif %}

# Without srun: a worker is alone, and JAX must not look for others.
ssljax study {{ arguments | shell }} &
worker=$!
told=0
trap 'told=1; kill -TERM "$worker"' USR1 TERM
wait "$worker"
code=$?
while [ "$told" -eq 1 ]; do # a signal ended the wait, not the worker
  told=0
  wait "$worker"
  again=$?
  if [ "$again" -ne 127 ]; then
    code=$again
  fi
done
# 75: saved. A job that was cancelled stays so.
if [ "$code" -eq 75 ] && [ "$(squeue --noheader --jobs="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" --format=%T)" = RUNNING ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"

#!/usr/bin/env bash
# A study as a SLURM array: every task is a worker on the same directory, which must be on a file system that all nodes
# see. A task that is preempted (SIGTERM) saves and is requeued; the others take over from one that dies. Start more
# arrays on the same directory at any time; tasks that find nothing to do end immediately.
#
#   sbatch --array=0-15 launch/study_slurm.sh configs/label_efficiency.py /shared/label_efficiency [--config.FIELD=VALUE ...]
#SBATCH --job-name=ssljax-study
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -uo pipefail
recipe=$1 directory=$2
shift 2
srun "${PYTHON:-python3}" -m ssljax.study --config="$recipe" --workdir="$directory" "$@"
code=$?
if [ "$code" -eq 75 ]; then # saved after SIGTERM: continue in a new allocation
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"

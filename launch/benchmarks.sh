#!/usr/bin/env bash
# Every benchmark on this machine with its accelerator, the shortest first; `python -m benchmarks.page` draws
# docs/performance.md from the results. Needs requirements-bench.txt. The last, time to an accuracy, takes hours.
#
#   launch/benchmarks.sh [--dry-run] CIFAR10 PHOTOS [OUT]     each data path a folder, .zip or .tar of class folders
set -euo pipefail
run() { "$@"; }
if [ "${1:-}" = --dry-run ]; then # prints the commands
  shift
  run() { printf '%q ' "$@" && echo; }
fi
cifar=$1 photos=$2 out=${3:-benchmarks/results}
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

run "$python" -m benchmarks.start --out="$out/start.json"
run "$python" -m benchmarks.growth --out="$out/growth.json"
run "$python" -m benchmarks.input --peer=torch --cifar="$cifar" --photos="$photos" --out="$out/input.json"
run "$python" -m benchmarks.steps --peer=torch --dtype=float32,bfloat16 --out="$out/steps.json"
run "$python" -m benchmarks.steps --peer=torch --compile --dtype=bfloat16 --out="$out/steps_compile.json"
for step in rotation_nin simclr_resnet18 fixmatch_wrn28_2 scratch_resnet50; do
  run "$python" -m benchmarks.profile "$step" --dtype=bfloat16 --out="$out/profile_$step.json"
done
run "$python" -m benchmarks.accuracy --source="folder:$cifar" --out="$out/accuracy.json"

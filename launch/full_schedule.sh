#!/usr/bin/env bash
# The two published schedules in full, on an accelerator: RotNet with NIN on CIFAR-10 (200 epochs) and the AlexNet
# low-label experiment on Imagenette. Resumable: run it again after an interruption.
#
#   launch/full_schedule.sh CIFAR10 IMAGENETTE OUT     each data path a folder, .zip or .tar of class folders
set -euo pipefail
cifar=$1 imagenette=$2 out=$3
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -m ssljax.main --config=configs/rotnet.py --workdir="$out/rotnet" \
  --config.data.source="folder:$cifar" --config.backbone.dtype=bfloat16
"$python" -m ssljax.main --config=configs/alexnet_rotnet.py --workdir="$out/alexnet_rotnet" \
  --config.data.source="folder:$imagenette" --config.backbone.dtype=bfloat16 --config.seeds="(0,1,2)"

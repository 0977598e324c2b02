#!/usr/bin/env bash
# The published schedules in full, on an accelerator: RotNet with NIN on CIFAR-10 (200 epochs), the AlexNet low-label
# experiment on Imagenette, and ResNet-18 under SimCLR and BYOL on CIFAR-10 (200 epochs, batch 128, and the votes of 200
# neighbours over all labels: lightly's benchmark); semi-supervised GANs on CIFAR-10 (4,000 labels) and on cats and dogs
# (100 labels, 96 pixels, ResNet-18); FixMatch with WRN-28-2 on CIFAR-10 (250 labels) and MobileNet with 5,000 and 20,000
# images, tuned; NIN under rotation at 20 to 5,000 labels a class. Resumable: rerun it after an interruption.
#
#   launch/full_schedule.sh [--dry-run] CIFAR10 IMAGENETTE CATS_DOGS OUT     each data path a folder, .zip or .tar of class folders
set -euo pipefail
run() { "$@"; }
if [ "${1:-}" = --dry-run ]; then # prints the commands
  shift
  run() { printf '%q ' "$@" && echo; }
fi
cifar=$1 imagenette=$2 cats_dogs=$3 out=$4
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

run "$python" -m ssljax.main --config=configs/rotnet.py --workdir="$out/rotnet" \
  --config.data.source="folder:$cifar" --config.backbone.dtype=bfloat16
run "$python" -m ssljax.main --config=configs/alexnet_rotnet.py --workdir="$out/alexnet_rotnet" \
  --config.data.source="folder:$imagenette" --config.backbone.dtype=bfloat16 --config.seeds="(0,1,2)"

for method in simclr byol; do
  run "$python" -m ssljax.main --config="configs/embedding_cifar10.py:$method" --workdir="$out/${method}_200" \
    --config.data.source="folder:$cifar" --config.backbone.dtype=bfloat16
done

run "$python" -m ssljax.main --config=configs/sgan_cifar10.py --workdir="$out/sgan_cifar10" \
  --config.data.source="folder:$cifar"
run "$python" -m ssljax.main --config=configs/badgan.py:cifar10 --workdir="$out/badgan_cifar10" \
  --config.data.source="folder:$cifar"
run "$python" -m ssljax.main --config=configs/sgan_cats_dogs.py --workdir="$out/sgan_cats_dogs" \
  --config.data.source="folder:$cats_dogs" --config.data.image_size=96
run "$python" -m ssljax.main --config=configs/fixmatch_cifar10.py:full --workdir="$out/fixmatch_cifar10" \
  --config.data.source="folder:$cifar" --config.backbone.dtype=bfloat16
run "$python" -m ssljax.main --config=configs/mobilenet_cifar10.py --workdir="$out/mobilenet_cifar10" \
  --config.data.source="folder:$cifar" --config.tune=True --config.tuning.minutes=20
run "$python" -m ssljax.study --config=configs/label_efficiency_cifar10.py --workdir="$out/label_efficiency_cifar10" \
  --config.data.source="folder:$cifar" --config.backbone.dtype=bfloat16

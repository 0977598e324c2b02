#!/usr/bin/env bash
# The published schedules in full, on an accelerator: RotNet with NIN on CIFAR-10 (200 epochs), the AlexNet low-label
# experiment on Imagenette, and ResNet-18 under SimCLR and BYOL on CIFAR-10 (200 epochs, batch 128, and the votes of 200
# neighbours over all labels: lightly's benchmark). Resumable: run it again after an interruption.
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

joint() {
  "$python" -m ssljax.main --config="configs/pretext_cifar10.py:$1" --workdir="$out/$1_200" \
    --config.data.source="folder:$cifar" --config.data.labels=all --config.data.val=2000 --config.seeds="(0,)" \
    --config.backbone.stem=cifar --config.backbone.dtype=bfloat16 \
    --config.pretrain.steps=0 --config.pretrain.epochs=200 --config.pretrain.evals=20 \
    --config.pretrain.batch_size=128 --config.pretrain.optim.lr=0.06 \
    --config.transfer.ways="()" --config.evaluate.knn=200 --config.evaluate.probe_pool=avg "${@:2}"
}
joint simclr --config.pretrain.simclr.projector="(512,128)" --config.pretrain.simclr.temperature=0.5
joint byol --config.pretrain.byol.projector="(1024,256)" --config.pretrain.byol.predictor="(1024,)" \
  --config.pretrain.byol.momentum=0.99

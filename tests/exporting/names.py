"""Writes names.json, the tensors of torchvision's and timm's networks, where these are installed."""

import json
from pathlib import Path

import timm
import torchvision


def main():
    vit = dict(patch_size=8, num_classes=10, embed_dim=48, depth=2, num_heads=3)
    timms = timm.models.vision_transformer.VisionTransformer
    networks = {name: getattr(torchvision.models, name)(num_classes=10) for name in
                ('resnet18', 'resnet34', 'resnet50', 'alexnet')} | {
        'mobilenetv1_100': timm.create_model('mobilenetv1_100', num_classes=10),
        'VisionTransformer of torchvision': torchvision.models.VisionTransformer(32, 8, 2, 3, 48, 192, num_classes=10),
        'VisionTransformer of timm': timms(img_size=32, init_values=1e-5, **vit),
        'VisionTransformer of timm without a token': timms(
            img_size=32, class_token=False, global_pool='avg', fc_norm=False, **vit
        ),
        'VisionTransformer of timm with registers': timms(
            img_size=32, init_values=1e-5, reg_tokens=2, no_embed_class=True, **vit
        ),
        'VisionTransformer of timm with a norm before the blocks': timms(img_size=32, pre_norm=True, **vit),
    }  # fmt: skip
    found = {name: {k: list(v.shape) for k, v in net.state_dict().items()} for name, net in networks.items()}
    Path(__file__).with_name('names.json').write_text(json.dumps(found, separators=(',', ':')) + '\n')


if __name__ == '__main__':
    main()

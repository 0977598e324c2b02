"""Writes outputs.npz, weights, images and features of small networks, where torch and the others are installed."""

import functools
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from timm.layers import LayerNorm

MEAN, DEVIATION = (torch.tensor(v).view(-1, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def main():
    torch.manual_seed(0)
    vit = functools.partial(
        timm.models.vision_transformer.VisionTransformer,
        img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, num_classes=0,
    )  # fmt: skip
    networks = {
        'torchvision': torchvision.models.VisionTransformer(8, 4, 2, 2, 8, 32),
        'timm': vit(init_values=0.5),
        # As in DINOv2, and in OpenAI's CLIP.
        'registers': vit(init_values=0.5, reg_tokens=3, no_embed_class=True),
        'pre_norm': vit(pre_norm=True, norm_layer=functools.partial(LayerNorm, eps=1e-5), act_layer='quick_gelu'),
    }
    networks['torchvision'].heads = torch.nn.Identity()
    images, found = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8), {}
    x = (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255 - MEAN) / DEVIATION
    for name, net in networks.items():
        with torch.no_grad():
            for weight in net.parameters():
                weight += torch.randn_like(weight) / 5
            features = net.eval()(x).numpy()
        found |= {f'{name}/{k}': v.numpy() for k, v in net.state_dict().items()}
        found |= {f'{name}/images': images, f'{name}/features': features}
    np.savez_compressed(Path(__file__).with_name('outputs.npz'), **found)


if __name__ == '__main__':
    main()

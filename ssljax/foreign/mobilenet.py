"""MobileNet v1: timm's names (mobilenetv1_100). torchvision has only v2 and v3, which are other networks."""

from ssljax.foreign import links

_DEPTHS = (1, 2, 2, 6, 2)  # blocks of each stage
_PLACES = [f'{stage}.{i}' for stage, depth in enumerate(_DEPTHS) for i in range(depth)]
_NAMES = {'depthwise/conv': 'conv_dw', 'depthwise/norm': 'bn1', 'pointwise/conv': 'conv_pw', 'pointwise/norm': 'bn2'}
_RULES = {
    r'backbone/conv1/block/conv': 'conv_stem',
    r'backbone/conv1/block/norm': 'bn1',
    r'backbone/conv(\d+)/(\w+/\w+)': lambda m: f'blocks.{_PLACES[int(m[1]) - 2]}.{_NAMES[m[2]]}',
    r'head/logits': 'classifier',
}


def _code(config, shape, classes: int) -> list[str]:
    act = '' if config.activation == 'relu6' else ", act_layer='relu'"
    channels = f', in_chans={shape[2]}' if shape[2] != 3 else ''
    lines = ['import timm, torch', f"net = timm.create_model('mobilenetv1_100', num_classes={classes}{channels}{act})"]
    return lines + ['net.conv_stem.stride = (1, 1)'] * (config.stem == 'cifar')


def _differences(config, shape) -> list[str]:
    said = [] if config.activation == 'relu6' else ['activations are ReLU (timm has ReLU6)']
    if config.stem == 'cifar':
        said.append('the first convolution has stride 1 (for small images)')
    if shape[2] != 3:
        said.append(f'the first convolution takes {shape[2]} channels')
    return said


LAYOUT = links.Layout('timm', 'classifier', links.by_rules(_RULES), links.of_size(width=32), _code, _differences)

"""ONNX: runs without Python and JAX, in ONNX Runtime and many others. Images uint8 [N, H, W, C], any N, to
probabilities [N, K] and, if they are wanted, features [N, D]."""

import json
from pathlib import Path

import numpy as np

from ssljax.exporting import packages
from ssljax.exporting.graph import IR, OPSET, translate
from ssljax.exporting.ops import OPERATIONS

SUFFIX = '.onnx'
NEEDS = 'onnx', 'onnxruntime'


def write(model, path: Path, features: bool = False) -> dict:
    """Writes a model; see `exporting.write`. Returns what its JSON says of the file."""
    packages.need(NEEDS, 'onnx')
    from onnx import TensorProto, checker, helper, save_model

    function, names = model.function(features)
    graph, results = translate(function, model.shape, OPERATIONS)
    named = list(zip(results, names))
    nodes = [*graph.nodes, *(helper.make_node('Identity', [graph.named(value)], [name]) for value, name in named)]
    inputs = [helper.make_tensor_value_info('images', TensorProto.UINT8, ['N', *model.shape])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ['N', *v.dims[1:]]) for v, name in named]
    found = helper.make_model(
        helper.make_graph(nodes, 'ssljax', inputs, outputs, graph.initializers),
        opset_imports=[helper.make_opsetid('', OPSET)], ir_version=IR, producer_name='ssljax',
    )  # fmt: skip
    helper.set_model_props(found, {'classes': json.dumps(list(model.classes))})
    checker.check_model(found)
    save_model(found, str(path))
    return {'opset': OPSET}


def read(path: Path, info: dict):
    """(images uint8 [N, H, W, C]) -> the outputs, float32, of a file that `write` made."""
    packages.need(NEEDS[1:], 'onnx')
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')  # waiting threads leave the cores free
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda images: tuple(map(np.asarray, session.run(None, {'images': np.ascontiguousarray(images)})))

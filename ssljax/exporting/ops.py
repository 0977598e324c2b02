"""How JAX's primitives are written in ONNX, in a literal table. Images stay NHWC: convolution and pooling, which ONNX
has only in NCHW, are put between transpositions, which runtimes move and cancel."""

import numpy as np

from ssljax.exporting.graph import Graph, Untranslated, Value, constant


def _elementwise(op: str):
    """A node of one output whose inputs broadcast."""

    def emit(graph: Graph, equation, values, dims):
        return graph.add(op, values, dims[0], _held(values, dims[0]))

    return emit


def _held(values, dims):
    """The held shape of what an elementwise node gives for lazily broadcast values."""
    rows = [v.held for v in values if len(v.held) == len(dims)]
    return tuple(next((d for d in column if d != 1), 1) for column in zip(*rows)) if rows else ()


def _chain(*steps):
    """Nodes applied one after the other to one value; a step is an op, or (op, constant on its left)."""

    def emit(graph: Graph, equation, values, dims):
        (value,) = values
        for step in steps:
            op, *left = step if isinstance(step, tuple) else (step,)
            inputs = [constant(np.asarray(left[0], equation.invars[0].aval.dtype)), value] if left else [value]
            value = graph.add(op, inputs, dims[0], value.held)
        return value

    return emit


def _identity(graph, equation, values, dims):
    return list(values)


def _cast(graph, equation, values, dims):
    from onnx import helper

    to = helper.np_dtype_to_tensor_dtype(np.dtype(equation.params['new_dtype']))
    return graph.add('Cast', values, dims[0], values[0].held, to=to)


def _power(graph, equation, values, dims):
    exponent = equation.params['y']
    if exponent == 2:
        return graph.add('Mul', values * 2, dims[0], values[0].held)
    power = constant(np.asarray(exponent, equation.invars[0].aval.dtype))
    return graph.add('Pow', [values[0], power], dims[0], values[0].held)


def _square(graph, equation, values, dims):
    return graph.add('Mul', values * 2, dims[0], values[0].held)


def _not_equal(graph, equation, values, dims):
    same = graph.add('Equal', values, dims[0], _held(values, dims[0]))
    return graph.add('Not', [same], dims[0], same.held)


def _select(graph, equation, values, dims):
    which, no, yes = values
    return graph.add('Where', [which, yes, no], dims[0], _held(values, dims[0]))


def _clamp(graph, equation, values, dims):
    low, value, high = values
    value = graph.add('Max', [value, low], dims[0], _held([value, low], dims[0]))
    return graph.add('Min', [value, high], dims[0], _held([value, high], dims[0]))


def _broadcast(graph, equation, values, dims):
    """The axes are put in their places; the rest is left to the nodes that broadcast themselves."""
    (value, *_), places, dims = values, equation.params['broadcast_dimensions'], dims[0]
    held = [1] * len(dims)
    for place, size in zip(places, value.held):
        held[place] = size
    if value.array is not None:
        return Value(dims, tuple(held), '', value.array.reshape(held))
    if value.held != tuple(held):
        value = graph.reshaped(value._replace(dims=value.held), held)
    return value._replace(dims=dims, held=tuple(held))


def _reshape(graph, equation, values, dims):
    return graph.reshaped(values[0], dims[0])


def _transpose(graph, equation, values, dims):
    return graph.transposed(values[0], equation.params['permutation'])


def _concatenate(graph, equation, values, dims):
    return graph.add('Concat', [graph.whole(v) for v in values], dims[0], axis=equation.params['dimension'])


def _slices(graph, value, starts, limits, strides, dims):
    """A slice of a value; axes that are taken whole, such as the batch, are left alone."""
    value = graph.whole(value)
    axes = [i for i, d in enumerate(value.dims) if (starts[i], strides[i]) != (0, 1) or limits[i] != d and d >= 0]
    if any(value.dims[i] < 0 for i in axes):
        raise Untranslated('a part of the batch is taken')
    if not axes:
        return value
    vectors = [constant(np.asarray([a[i] for i in axes], np.int64)) for a in (starts, limits)]
    vectors += [constant(np.asarray(axes, np.int64)), constant(np.asarray([strides[i] for i in axes], np.int64))]
    return graph.add('Slice', [value, *vectors], dims)


def _slice(graph, equation, values, dims):
    p = equation.params
    strides = p['strides'] or (1,) * len(p['start_indices'])
    return _slices(graph, values[0], p['start_indices'], p['limit_indices'], strides, dims[0])


def _split(graph, equation, values, dims):
    axis, rank, first, found = equation.params['axis'], len(dims[0]), 0, []
    for size, of in zip(equation.params['sizes'], dims):
        starts, limits = [0] * rank, list(values[0].dims)
        starts[axis], limits[axis] = first, first + size
        found.append(_slices(graph, values[0], starts, limits, [1] * rank, of))
        first += size
    return found


def _pad(graph, equation, values, dims):
    low, high, interior = zip(*equation.params['padding_config'])
    if any(interior) or min(*low, *high) < 0:
        raise Untranslated('padding is negative or between the pixels')
    pads = constant(np.asarray([*low, *high], np.int64))
    return graph.add('Pad', [graph.whole(values[0]), pads, graph.whole(values[1])], dims[0], mode='constant')


def _reduce(op: str):
    def emit(graph, equation, values, dims):
        axes = constant(np.asarray(equation.params['axes'], np.int64))
        return graph.add(op, [graph.whole(values[0]), axes], dims[0], keepdims=0)

    return emit


def _convolution(graph, equation, values, dims):
    p, (image, weights) = equation.params, values
    if set(p['lhs_dilation']) != {1} or p['batch_group_count'] != 1:
        raise Untranslated('a convolution is transposed or grouped over the batch')
    spec = p['dimension_numbers']
    x, w = graph.transposed(image, spec.lhs_spec), graph.transposed(weights, spec.rhs_spec)
    out = [dims[0][i] for i in spec.out_spec]
    low, high = zip(*p['padding'])
    y = graph.add(
        'Conv', [x, w], out, group=p['feature_group_count'], strides=p['window_strides'], pads=[*low, *high],
        dilations=p['rhs_dilation'], kernel_shape=w.dims[2:],
    )  # fmt: skip
    return graph.transposed(y, np.argsort(spec.out_spec))


def _pool(op: str, **attributes):
    """Windows over the two middle axes of NHWC."""

    def emit(graph, equation, values, dims):
        p, there, back = equation.params, (0, 3, 1, 2), (0, 2, 3, 1)
        window, stride, padding = p['window_dimensions'], p['window_strides'], p['padding']
        outer = [(window[i], stride[i], *padding[i]) for i in (0, -1)]
        if len(window) != 4 or outer != [(1, 1, 0, 0)] * 2 or {*p['base_dilation'], *p['window_dilation']} != {1}:
            raise Untranslated(f'a pooling over windows of {window}')
        (low, high), out = zip(*padding[1:3]), [dims[0][i] for i in there]
        y = graph.add(
            op, [graph.transposed(values[0], there)], out, kernel_shape=window[1:3], strides=stride[1:3],
            pads=[*low, *high], **attributes,
        )  # fmt: skip
        if op == 'AveragePool':  # XLA's is the sum
            y = graph.add('Mul', [y, constant(np.asarray(window[1] * window[2], np.float32))], out)
        return graph.transposed(y, back)

    return emit


def _product(graph, equation, values, dims):
    """A matrix product where the last axis meets the first of a matrix; else Einstein's summation."""
    (left_sum, right_sum), (left_batch, right_batch) = equation.params['dimension_numbers']
    left, right = map(graph.whole, values)
    if not left_batch and len(right.dims) == 2 and left_sum == (len(left.dims) - 1,) and right_sum in ((0,), (1,)):
        right = graph.transposed(right, (0, 1) if right_sum == (0,) else (1, 0))
        return graph.add('MatMul', [left, right], dims[0])
    letters = iter('abcdefghijklmnopqrstuvwxyz')
    one = [next(letters) for _ in left.dims]
    two = [next(letters) for _ in right.dims]
    for i, j in zip((*left_sum, *left_batch), (*right_sum, *right_batch)):
        two[j] = one[i]
    out = [one[i] for i in left_batch]
    out += [s for i, s in enumerate(one) if i not in (*left_sum, *left_batch)]
    out += [s for j, s in enumerate(two) if j not in (*right_sum, *right_batch)]
    return graph.add('Einsum', [left, right], dims[0], equation=f'{"".join(one)},{"".join(two)}->{"".join(out)}')


OPERATIONS = {
    'abs': _elementwise('Abs'),
    'add': _elementwise('Add'),
    'and': _elementwise('And'),
    'broadcast_in_dim': _broadcast,
    'ceil': _elementwise('Ceil'),
    'clamp': _clamp,
    'concatenate': _concatenate,
    'conv_general_dilated': _convolution,
    'convert_element_type': _cast,
    'copy': _identity,
    'copy_p': _identity,
    'cos': _elementwise('Cos'),
    'div': _elementwise('Div'),
    'dot_general': _product,
    'eq': _elementwise('Equal'),
    'erf': _elementwise('Erf'),
    'erfc': _chain('Erf', ('Sub', 1)),
    'exp': _elementwise('Exp'),
    'expand_dims': _reshape,
    'floor': _elementwise('Floor'),
    'ge': _elementwise('GreaterOrEqual'),
    'gt': _elementwise('Greater'),
    'integer_pow': _power,
    'le': _elementwise('LessOrEqual'),
    'log': _elementwise('Log'),
    'log1p': _chain(('Add', 1), 'Log'),
    'logistic': _elementwise('Sigmoid'),
    'lt': _elementwise('Less'),
    'max': _elementwise('Max'),
    'min': _elementwise('Min'),
    'mul': _elementwise('Mul'),
    'ne': _not_equal,
    'neg': _elementwise('Neg'),
    'not': _elementwise('Not'),
    'optimization_barrier': _identity,
    'or': _elementwise('Or'),
    'pad': _pad,
    'pow': _elementwise('Pow'),
    'reduce_max': _reduce('ReduceMax'),
    'reduce_min': _reduce('ReduceMin'),
    'reduce_sum': _reduce('ReduceSum'),
    'reduce_window_max': _pool('MaxPool'),
    'reduce_window_sum': _pool('AveragePool', count_include_pad=1),
    'reshape': _reshape,
    'rsqrt': _chain('Sqrt', 'Reciprocal'),
    'select_n': _select,
    'sign': _elementwise('Sign'),
    'sin': _elementwise('Sin'),
    'slice': _slice,
    'split': _split,
    'sqrt': _elementwise('Sqrt'),
    'square': _square,
    'squeeze': _reshape,
    'stop_gradient': _identity,
    'sub': _elementwise('Sub'),
    'tanh': _elementwise('Tanh'),
    'transpose': _transpose,
}

"""An ONNX graph from a JAX function of a batch of images, whose size stays open.

The function is traced at two batch sizes: a dimension that differs between both traces is a multiple of the batch. What
depends on weights alone is computed here; what is left are nodes, each translated by `ops`.
"""

from typing import NamedTuple

import jax
import numpy as np

TRACED = 2, 3  # batch sizes
OPSET, IR = 18, 9  # of onnx 1.14 and later


class Untranslated(ValueError):
    """An operation of a network has no translation."""


class Value(NamedTuple):
    """A tensor of the graph.

    dims: its shape; -k stands for k times the batch. held: the shape of what is kept, with 1 where it is still to be
    broadcast. name: of the node's output, or '' for a constant, `array`.
    """

    dims: tuple[int, ...]
    held: tuple[int, ...]
    name: str = ''
    array: np.ndarray | None = None


def constant(array) -> Value:
    """A Value that is known."""
    array = np.asarray(array)
    return Value(array.shape, array.shape, '', array)


def dims_of(one: tuple, two: tuple) -> tuple[int, ...]:
    """The dims of a Value, from the shapes of the same tensor in both traces."""
    small, large = TRACED
    slopes = [(b - a) // (large - small) for a, b in zip(one, two)]
    if any(a != (k * small if k else a) for a, k in zip(one, slopes)):
        raise Untranslated(f'a shape is not a multiple of the batch: {one} and {two} of batches {small} and {large}')
    return tuple(-k if k else a for a, k in zip(one, slopes))


class Graph:
    """Nodes and constants, in the order in which they were added."""

    def __init__(self):
        self.nodes, self.initializers, self._names = [], [], {}

    def add(self, op: str, inputs, dims, held=None, **attributes) -> Value:
        """The output of a new node; inputs are Values, and constants among them become initializers."""
        from onnx import helper

        name = f'{op.lower()}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(op, [self.named(v) for v in inputs], [name], **attributes))
        return Value(tuple(dims), tuple(dims if held is None else held), name)

    def named(self, value: Value) -> str:
        """The name of a Value; a constant gets one when it is first used."""
        from onnx import numpy_helper

        if value.name:
            return value.name
        if id(value.array) not in self._names:
            name = f'constant_{len(self.initializers)}'
            self.initializers.append(
                numpy_helper.from_array(np.ascontiguousarray(value.array).reshape(value.held), name)
            )
            self._names[id(value.array)] = name, value.array  # which must live as long as its id is a key
        return self._names[id(value.array)][0]

    def whole(self, value: Value) -> Value:
        """The Value, fully broadcast."""
        if value.dims == value.held:
            return value
        if value.array is not None and min(value.dims, default=0) >= 0:
            return constant(np.broadcast_to(value.array, value.dims))
        return self.add('Expand', [value, self.shape(value.dims)], value.dims)

    def shape(self, dims) -> Value:
        """A shape as an int64 vector, with the size of the batch read at run time where it occurs."""
        if min(dims, default=0) >= 0:
            return constant(np.asarray(dims, np.int64))
        images = Value((0,), (0,), 'images')
        batch = self.add('Shape', [images], (1,), start=0, end=1)
        parts = [constant(np.asarray([abs(d)], np.int64)) for d in dims]
        parts = [self.add('Mul', [batch, p], (1,)) if d < 0 else p for d, p in zip(dims, parts)]
        return self.add('Concat', parts, (len(dims),), axis=0)

    def reshaped(self, value: Value, dims) -> Value:
        """The Value in another shape."""
        value = self.whole(value)
        if value.array is not None:
            return constant(value.array.reshape(dims))
        if value.dims == tuple(dims):
            return value
        if sum(d < 0 for d in dims) > 1:
            raise Untranslated(f'a reshape leaves more than one dimension open: {dims}')
        target = constant(np.asarray([-1 if d < 0 else d for d in dims], np.int64))
        return self.add('Reshape', [value, target], dims)

    def transposed(self, value: Value, order) -> Value:
        """The Value with its axes in another order."""
        value, order = self.whole(value), tuple(int(i) for i in order)
        if order == tuple(range(len(order))):
            return value
        if value.array is not None:
            return constant(value.array.transpose(order))
        return self.add('Transpose', [value], [value.dims[i] for i in order], perm=order)


def translate(function, shape, operations: dict):
    """(Graph, the Values of the results) of function(images uint8 [N, *shape]) -> a tuple of [N, K] float32.

    Args:
      function: in JAX, with its weights as constants.
      shape: (H, W, C) of the images.
      operations: {name of a primitive: (graph, equation, Values, dims of each output) -> Value or list of them}.

    Raises:
      Untranslated: it uses a primitive that is not among the operations, or its shapes are not multiples of the batch.
    """
    traces = [jax.make_jaxpr(function)(jax.ShapeDtypeStruct((n, *shape), np.uint8)) for n in TRACED]
    graph, images = Graph(), Value((-1, *shape), (-1, *shape), 'images')
    return graph, [graph.whole(result) for result in _walk(graph, traces, [images], operations)]


def _walk(graph: Graph, traces, inputs, operations) -> list[Value]:
    """The Values that two traces of the same program return."""
    programs = [getattr(t, 'jaxpr', t) for t in traces]
    one, two = programs
    known = dict(zip(one.constvars, map(constant, getattr(traces[0], 'consts', ()))))
    known |= dict(zip(one.invars, inputs))

    def find(atom):
        return constant(np.asarray(atom.val, atom.aval.dtype)) if hasattr(atom, 'val') else known[atom]

    if [e.primitive for e in one.eqns] != [e.primitive for e in two.eqns]:
        raise Untranslated('the program depends on the size of the batch')
    for equation, other in zip(one.eqns, two.eqns):
        values = [find(atom) for atom in equation.invars]
        dims = [dims_of(a.aval.shape, b.aval.shape) for a, b in zip(equation.outvars, other.outvars)]
        found = _folded(equation, values, dims)
        inner = [_inner(e) for e in (equation, other)]
        if found is None and inner[0] is not None:
            found = _walk(graph, inner, values, operations)
        elif found is None:
            name = equation.primitive.name
            if name not in operations:
                raise Untranslated(f'the network uses the operation {name}, which has no translation')
            found = operations[name](graph, equation, values, dims)
            found = found if isinstance(found, list) else [found]
        known |= dict(zip(equation.outvars, found))
    return [find(atom) for atom in one.outvars]


def _inner(equation):
    """The program that an equation calls, such as a jitted function's; None if it calls none."""
    found = (equation.params.get(key) for key in ('jaxpr', 'call_jaxpr', 'fun_jaxpr'))
    return next((program for program in found if program is not None), None)


def _folded(equation, values, dims) -> list[Value] | None:
    """What an equation of constants gives; None if it has other inputs, depends on the batch, calls a program or
    broadcasts."""
    if any(v.array is None or min(v.dims, default=0) < 0 for v in values) or any(min(d, default=0) < 0 for d in dims):
        return None
    if _inner(equation) is not None or equation.primitive.name == 'broadcast_in_dim':
        return None
    arrays = [np.broadcast_to(v.array, v.dims) for v in values]
    found = equation.primitive.bind(*map(jax.numpy.asarray, arrays), **equation.params)
    return [constant(a) for a in (found if equation.primitive.multiple_results else [found])]

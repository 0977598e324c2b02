"""The two loops of resample.py, in LLVM's language: they see addresses, not arrays.

A result is (2^21 + sum of weight * value) >> 22 for a row's neighbours in `across`, then for a column's in `down`.
"""

import ctypes
from typing import NamedTuple

BITS = 22  # of a weight, after the binary point
BLOCK = 16  # bytes of a row that `down` makes at a time: no row may be shorter
_ROWS = 4  # rows that `across` makes at a time, with the same weights


class Loops(NamedTuple):
    """across(source, last, pitch, rows, to, width, first, weights, taps)

    source, last: addresses of the first row and of a copy of the last one, followed by a byte that may be read.
    pitch: bytes from a row of the source to the next. rows: how many. to: uint8 [rows, width * channels + 1].
    first: int32 [width], the first pixel of each result. weights: int32 [width, taps].

    down(source, length, to, rows, first, weights, taps)

    source: what `across` made. length: width * channels, at least BLOCK. to: uint8 [rows, length].
    first: int32 [rows], the first row of each result. weights: int32 [rows, taps].
    """

    across: object
    down: object
    engine: object  # which owns the code, so it must be kept


def compiled(channels):
    """Loops for 1 or 3 channels; raises what LLVM does, or ImportError without it."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(_across(channels) + _DOWN)
    module.verify()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(llvm.get_host_cpu_name(), features, opt=3)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_unrolling = False  # by eight, more than most results have neighbours
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    across, down = (
        ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * count)(engine.get_function_address(name))
        for name, count in (('across', 9), ('down', 7))
    )
    return Loops(across, down, engine)


def _across(channels):
    """What `across` is. A line with # is repeated for each of the rows that are made at a time."""
    lanes = 4 if channels == 3 else channels
    rows, v8, v32 = range(_ROWS), f'<{lanes} x i8>', f'<{lanes} x i32>'
    half, bits = (f'<{", ".join([f"i32 {value}"] * lanes)}>' for value in (1 << BITS - 1, BITS))

    text = f"""
declare i64 @llvm.umin.i64(i64, i64)

define void @across(ptr %source, ptr %last, i64 %pitch, i64 %rows, ptr %to, i64 %width, ptr %first, ptr %weights,
                    i64 %taps) {{
start:
  %bottom = sub i64 %rows, 1
  %length = mul i64 %width, {channels}
  %to_pitch = add i64 %length, 1
  br label %block
block:  ; of rows; the last block has the last row more than once
  %row = phi i64 [0, %start], [%next_row, %block_end]
  %r#.any = add i64 %row, #
  %r# = call i64 @llvm.umin.i64(i64 %r#.any, i64 %bottom)
  %from#.far = mul i64 %r#, %pitch
  %from#.there = getelementptr i8, ptr %source, i64 %from#.far
  %is_last# = icmp eq i64 %r#, %bottom
  %from# = select i1 %is_last#, ptr %last, ptr %from#.there
  %to#.far = mul i64 %r#, %to_pitch
  %to# = getelementptr i8, ptr %to, i64 %to#.far
  br label %pixel
pixel:
  %x = phi i64 [0, %block], [%next_x, %pixel_end]
  %first.at = getelementptr i32, ptr %first, i64 %x
  %first32 = load i32, ptr %first.at
  %first64 = zext i32 %first32 to i64
  %near = mul i64 %first64, {channels}
  %w.far = mul i64 %x, %taps
  %w = getelementptr i32, ptr %weights, i64 %w.far
  br label %tap
tap:
  %t = phi i64 [0, %pixel], [%next_t, %tap]
  %sum# = phi {v32} [{half}, %pixel], [%more#, %tap]
  %w.at = getelementptr i32, ptr %w, i64 %t
  %w.one = load i32, ptr %w.at
  %w.first = insertelement {v32} poison, i32 %w.one, i64 0
  %w.all = shufflevector {v32} %w.first, {v32} poison, {v32} zeroinitializer
  %t.far = mul i64 %t, {channels}
  %far = add i64 %near, %t.far
  %v#.at = getelementptr i8, ptr %from#, i64 %far
  %v#.byte = load {v8}, ptr %v#.at, align 1
  %v# = zext {v8} %v#.byte to {v32}
  %p# = mul {v32} %v#, %w.all
  %more# = add {v32} %sum#, %p#
  %next_t = add i64 %t, 1
  %taps_left = icmp ult i64 %next_t, %taps
  br i1 %taps_left, label %tap, label %pixel_end
pixel_end:
  %x.far = mul i64 %x, {channels}
  %whole# = lshr {v32} %more#, {bits}
  %result# = trunc {v32} %whole# to {v8}
  %result#.at = getelementptr i8, ptr %to#, i64 %x.far
  store {v8} %result#, ptr %result#.at, align 1
  %next_x = add i64 %x, 1
  %pixels_left = icmp ult i64 %next_x, %width
  br i1 %pixels_left, label %pixel, label %block_end
block_end:
  %next_row = add i64 %row, {_ROWS}
  %rows_left = icmp ult i64 %next_row, %rows
  br i1 %rows_left, label %block, label %end
end:
  ret void
}}
"""
    return '\n'.join(
        line.replace('#', str(row)) for line in text.splitlines() for row in (rows if '#' in line else [0])
    )


_V8, _V32 = f'<{BLOCK} x i8>', f'<{BLOCK} x i32>'
_HALF, _SHIFT = (f'<{", ".join([f"i32 {value}"] * BLOCK)}>' for value in (1 << BITS - 1, BITS))
_DOWN = f"""
define void @down(ptr %source, i64 %length, ptr %to, i64 %rows, ptr %first, ptr %weights, i64 %taps) {{
start:
  %pitch = add i64 %length, 1
  %last = sub i64 %length, {BLOCK}
  br label %row
row:
  %y = phi i64 [0, %start], [%next_y, %row_end]
  %first.at = getelementptr i32, ptr %first, i64 %y
  %first32 = load i32, ptr %first.at
  %first64 = zext i32 %first32 to i64
  %from.far = mul i64 %first64, %pitch
  %from = getelementptr i8, ptr %source, i64 %from.far
  %w.far = mul i64 %y, %taps
  %w = getelementptr i32, ptr %weights, i64 %w.far
  %to.far = mul i64 %y, %length
  %to.row = getelementptr i8, ptr %to, i64 %to.far
  br label %block
block:  ; of bytes; the last one begins where it fits
  %b.any = phi i64 [0, %row], [%next_b, %block_end]
  %b = call i64 @llvm.umin.i64(i64 %b.any, i64 %last)
  %from.block = getelementptr i8, ptr %from, i64 %b
  br label %tap
tap:
  %t = phi i64 [0, %block], [%next_t, %tap]
  %sum = phi {_V32} [{_HALF}, %block], [%more, %tap]
  %w.at = getelementptr i32, ptr %w, i64 %t
  %w.one = load i32, ptr %w.at
  %w.first = insertelement {_V32} poison, i32 %w.one, i64 0
  %w.all = shufflevector {_V32} %w.first, {_V32} poison, {_V32} zeroinitializer
  %v.far = mul i64 %t, %pitch
  %v.at = getelementptr i8, ptr %from.block, i64 %v.far
  %v.byte = load {_V8}, ptr %v.at, align 1
  %v = zext {_V8} %v.byte to {_V32}
  %p = mul {_V32} %v, %w.all
  %more = add {_V32} %sum, %p
  %next_t = add i64 %t, 1
  %taps_left = icmp ult i64 %next_t, %taps
  br i1 %taps_left, label %tap, label %block_end
block_end:
  %whole = lshr {_V32} %more, {_SHIFT}
  %result = trunc {_V32} %whole to {_V8}
  %result.at = getelementptr i8, ptr %to.row, i64 %b
  store {_V8} %result, ptr %result.at, align 1
  %next_b = add i64 %b.any, {BLOCK}
  %bytes_left = icmp ult i64 %next_b, %length
  br i1 %bytes_left, label %block, label %row_end
row_end:
  %next_y = add i64 %y, 1
  %rows_left = icmp ult i64 %next_y, %rows
  br i1 %rows_left, label %row, label %end
end:
  ret void
}}
"""

"""Counts of short programs, counted by hand."""

from prodgen.parallel.program_counts import count_array_bytes, count_instructions

GPU_PROGRAM = """
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[4,8,8,2]{3,2,1,0})->f32[]}

%body (param: (s32[], f32[4,8,8,2])) -> (s32[], f32[4,8,8,2]) {
  %param = (s32[], f32[4,8,8,2]{3,2,1,0}) parameter(0)
  %x.1 = f32[4,8,8,2]{3,2,1,0} get-tuple-element(%param), index=1
  %k.1 = f32[2,3,3,2]{3,2,1,0} constant({...})
  %conv.1 = (f32[4,8,8,2]{3,2,1,0}, u8[0]{0}) custom-call(%x.1, %k.1), \
window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convForward", metadata={op_name="a"}
  %conv.2 = (f32[4,8,8,2]{3,2,1,0}, u8[0]{0}) custom-call(%x.1, %k.1), \
window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convForward", metadata={op_name="b"}
  %kernel.1 = f32[2,3,3,2]{3,2,1,0} all-reduce(%k.1), channel_id=1, to_apply=%add
  ROOT %tuple.1 = (s32[], f32[4,8,8,2]{3,2,1,0}) tuple(%i, %x.1)
}

%fused_transpose (param_0: f32[2,3,3,2]) -> f32[3,3,2,2] {
  %param_0 = f32[2,3,3,2]{3,2,1,0} parameter(0)
  ROOT %transpose.1 = f32[3,3,2,2]{3,2,1,0} transpose(%param_0), dimensions={1,2,3,0}
}

ENTRY %main (param.0: f32[4,8,8,2], param.1: f32[2,3,3,2]) -> f32[] {
  %param.0 = f32[4,8,8,2]{3,2,1,0} parameter(0)
  %param.1 = f32[2,3,3,2]{3,2,1,0} parameter(1)
  %conv.3 = (f32[2,3,3,2]{3,2,1,0}, u8[0]{0}) custom-call(%param.0, %param.0), \
window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convBackwardFilter"
  %fusion.1 = f32[3,3,2,2]{3,2,1,0} fusion(%param.1), kind=kInput, calls=%fused_transpose
  %product.1 = (f32[4,7]{1,0}, s8[64]{0}) custom-call(%a, %b), custom_call_target="__cublas$gemm"
  %dot.1 = f32[4,7]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %copy.1 = s32[] copy(%zero)
  %copy.2 = f32[4,8,8,2]{0,1,2,3} copy(%param.0)
  %loop.1 = (s32[], f32[4,8,8,2]{3,2,1,0}) while(%tuple.0), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
  %start.1 = f32[100]{0} all-reduce-start(%vector), channel_id=2, to_apply=%add
  %done.1 = f32[100]{0} all-reduce-done(%start.1)
  %shard.1 = bf16[8]{0} parameter(2)
  %gather.1 = bf16[32]{0} all-gather(%shard.1), channel_id=3, dimensions={0}
  ROOT %loss = f32[] constant(0)
}
"""

TPU_PROGRAM = """
HloModule jit_step, is_scheduled=true

%condition.1 (p: (s32[], f32[8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(3)
  %p = (s32[]{:T(128)}, f32[8]{0:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %limit), direction=LT
}

%body.1 (p.1: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p.1 = (s32[]{:T(128)}, f32[8]{0:T(128)}) parameter(0)
  %v = f32[8]{0:T(128)S(1)} get-tuple-element(%p.1), index=1
  %sum = (f32[8]{0:T(128)S(1)}, /*index=1*/bf16[2,2]{1,0:T(8,128)(2,1)}) all-reduce(%v, %w), \
to_apply=%add
  ROOT %t.1 = (s32[]{:T(128)}, f32[8]{0:T(128)}) tuple(%i.1, %v)
}

ENTRY %main (param.0: f32[8]) -> f32[] {
  %convolution.1 = f32[16,32,3,64]{3,1,2,0:T(8,128)} convolution(%x, %k), \
window={size=3x3 pad=1_1x0_0}, dim_labels=0b1f_01io->0b1f, \
metadata={op_name="jit(f)/conv_general_dilated"}
  %convolution.2 = f32[4,128]{1,0:T(4,128)S(1)} convolution(%y, %m), dim_labels=bf_io->bf, \
metadata={op_name="jit(f)/dot_general"}
  %convolution.3 = f32[8,4,128]{2,1,0:T(4,128)} convolution(%y, %m), \
window={size=8 stride=7 lhs_dilate=8}, dim_labels=0bf_0io->0bf, \
metadata={op_name="jit(f)/dot_general"}
  %copy-start.1 = (f32[8]{0:T(128)S(1)}, f32[8]{0:T(128)}, u32[]{:S(2)}) copy-start(%param.0)
  %while.1 = (s32[]{:T(128)}, f32[8]{0:T(128)}) while(%tuple.0), condition=%condition.1, \
body=%body.1
  ROOT %loss = f32[]{:T(128)} constant(0)
}
"""


def test_instructions_of_a_gpu_program_are_counted():
    """Two equal convolutions in a loop and one outside; a transpose inside a fusion."""
    counts = count_instructions(GPU_PROGRAM)
    assert (counts.convolutions, counts.convolution_kinds) == (3, 2)
    assert (counts.matrix_products, counts.matrix_product_kinds) == (2, 2)
    assert counts.transposes == 1
    assert counts.copies == 1  # that of the scalar is left out


def test_bytes_of_collectives_count_each_iteration_of_a_loop():
    """36 floats in each of 5 iterations, 100 floats asynchronously, 32 bfloat16 in a gather."""
    counts = count_instructions(GPU_PROGRAM)
    assert counts.collectives == 3
    all_reduces, gather_bytes = 5 * 36 * 4 + 100 * 4, 32 * 2
    assert counts.collective_bytes == all_reduces + gather_bytes
    assert counts.ring_bytes == 2 * all_reduces + gather_bytes


def test_a_matrix_product_of_a_tpu_is_no_convolution():
    counts = count_instructions(TPU_PROGRAM)
    assert (counts.convolutions, counts.matrix_products) == (1, 2)
    assert counts.copies == 0  # a prefetch between memories
    # The loop's limit is in its condition: 3 times 8 floats and 4 bfloat16.
    assert (counts.collectives, counts.collective_bytes) == (1, 3 * (8 * 4 + 4 * 2))


def test_bytes_of_shapes():
    assert count_array_bytes("f32[2,3]") == 24
    assert count_array_bytes("(bf16[5], pred[7], s32[], f8e4m3fn[3])") == 10 + 7 + 4 + 3

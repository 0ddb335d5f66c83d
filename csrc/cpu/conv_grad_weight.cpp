// conv_grad_weight, exact in integers and rounded once: docs/numerics.md, Products.
#include "conv_direct.h"
#include "conv_operands.h"
#include "conv_small_weight.h"
#if defined(__AMX_INT8__)
#include "amx_grad_weight.h"
#else
#include "conv_grads.h"
#endif

namespace isobit::ISOBIT_ISA {

void op_conv_grad_weight(const isobit_call &call) {
    const Geometry z = check_grad_weight(call);
    const Range range = range_of(z.width, z.N * z.P * z.Q);
    if (element_count(*call.output) == 0) return;
    const isobit_tensor &x_tensor = call.inputs[1];
    if (is_roomy(grad_weight_lanes(z), element_count(x_tensor))) return conv_grad_weight_direct(call, z, range);
    const int threads = call.threads;
    float *out = data_of<float>(*call.output);
    Room &scratch = room();
    const FloatImage g = contiguous_image(call.inputs[0], scratch.first, threads);
    const FloatImage x = contiguous_image(x_tensor, scratch.second, threads);
    if (z.groups > 1 && std::max(z.D, z.E) <= MOST_OF_GRADIENT) {
        const GroupScales g_scales(middle_maxima(g.x, 1, z.N, z.O, z.P * z.Q, threads), range),
            x_scales(middle_maxima(x.x, 1, z.N, z.C, z.H * z.W, threads), range);
        conv_grad_weight_small_groups(z, g, x, g_scales, x_scales, range, threads, out);
    } else {
        conv_grad_weight_products(z, g, x, range, threads, scratch, out);
    }
    scratch.release();
}

}  // namespace isobit::ISOBIT_ISA

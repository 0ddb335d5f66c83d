// conv and its two gradients, exact in integers and rounded once: docs/numerics.md, Products.
#include "conv_direct.h"

namespace isobit::ISOBIT_ISA {

void op_conv(const isobit_call &call) {
    const Geometry z = check_conv(call);
    conv_direct(call, z, range_of(z.width, z.D * z.R * z.S));
}

void op_conv_grad_input(const isobit_call &call) {
    const Geometry z = check_grad_input(call);
    conv_grad_input_direct(call, z, range_of(z.width, z.E * z.R * z.S));
}

void op_conv_grad_weight(const isobit_call &call) {
    const Geometry z = check_grad_weight(call);
    conv_grad_weight_direct(call, z, range_of(z.width, z.N * z.P * z.Q));
}

}  // namespace isobit::ISOBIT_ISA

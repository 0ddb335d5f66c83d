// The Python module kernels._cuda: addresses of tensors on a GPU in, a kernel started on the caller's stream.
#include <array>
#include <cstdint>
#include <string>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "matmul.h"

namespace py = pybind11;

namespace {

using isobit_cuda::Product;
using Moduli = std::array<int32_t, isobit_cuda::RESIDUES>;

void check_terms(int64_t P, int64_t terms, int pairs) {
    if (P <= 0 || P % 128 || terms <= 0 || terms % 128)
        throw py::value_error("multiply: got P " + std::to_string(P) + " and terms " + std::to_string(terms) +
                              ", want positive multiples of 128");
    const int64_t most = INT32_MAX / (pairs << 14);
    if (terms > most)
        throw py::value_error("multiply: got " + std::to_string(terms) + " terms, want at most " +
                              std::to_string(most) + ": an int32 sum would overflow");
}

Product product_of(uintptr_t a, uintptr_t b, int64_t batch, int64_t M, int64_t N, int64_t P, int64_t terms) {
    if (a % 16 || b % 16) throw py::value_error("multiply: got digits at an odd address, want a multiple of 16");
    if (batch <= 0 || M <= 0 || N <= 0)
        throw py::value_error("multiply: got batch " + std::to_string(batch) + ", M " + std::to_string(M) + ", N " +
                              std::to_string(N) + ", want positive sizes");
    Product product{};
    product.a = reinterpret_cast<const int8_t *>(a);
    product.b = reinterpret_cast<const int8_t *>(b);
    product.batch = batch, product.M = M, product.N = N, product.P = P, product.terms = terms;
    return product;
}

void check(const char *error) {
    if (error) throw std::runtime_error(std::string("multiply: ") + error);
}

// tile 0: by the kernel for every GPU from Ampere on; otherwise Hopper's, with tiles that wide.
void multiply(uintptr_t a, uintptr_t b, uintptr_t maxima_a, uintptr_t maxima_b, uintptr_t out, uintptr_t sums,
              int64_t batch, int64_t M, int64_t N, int64_t P, int64_t terms, int digits, int qmax, int tile,
              int cluster, uintptr_t stream) {
    if (digits != 2 && digits != 3)
        throw py::value_error("multiply: got " + std::to_string(digits) + " digits, want 2 or 3");
    check_terms(P, terms, digits == 2 ? 1 : 3);
    if (terms < P && !sums) throw py::value_error("multiply: got parts and no sums to add them to");
    Product product = product_of(a, b, batch, M, N, P, terms);
    product.maxima_a = reinterpret_cast<const int32_t *>(maxima_a);
    product.maxima_b = reinterpret_cast<const int32_t *>(maxima_b);
    product.out = reinterpret_cast<float *>(out);
    product.sums = reinterpret_cast<int64_t *>(sums);
    product.qmax = qmax;
    while (qmax >> product.bits) product.bits++;
    void *const on = reinterpret_cast<void *>(stream);
    check(tile ? isobit_cuda::multiply_on_hopper(product, digits, tile, cluster, on)
               : isobit_cuda::multiply(product, digits, on));
}

void multiply_residues(uintptr_t a, uintptr_t b, uintptr_t out, const Moduli &moduli, int64_t planes, int64_t M,
                       int64_t N, int64_t P, int tile, int cluster, uintptr_t stream) {
    check_terms(P, P, 1);
    Product product = product_of(a, b, planes, M, N, P, P);
    product.residues = reinterpret_cast<int8_t *>(out);
    for (size_t i = 0; i < moduli.size(); i++) {
        if (moduli[i] < 2 || moduli[i] > 256)
            throw py::value_error("multiply_residues: got modulus " + std::to_string(moduli[i]) + ", want 2 to 256");
        product.moduli[i] = moduli[i];
    }
    check(isobit_cuda::multiply_on_hopper(product, 1, tile, cluster, reinterpret_cast<void *>(stream)));
}

}  // namespace

PYBIND11_MODULE(_cuda, module) {
    module.def("devices", &isobit_cuda::devices, "The GPUs that this process can use; 0 where there is no driver.");
    module.def("multiply", &multiply, py::arg("a"), py::arg("b"), py::arg("maxima_a"), py::arg("maxima_b"),
               py::arg("out"), py::arg("sums"), py::arg("batch"), py::arg("M"), py::arg("N"), py::arg("P"),
               py::arg("terms"), py::arg("digits"), py::arg("qmax"), py::arg("tile"), py::arg("cluster"),
               py::arg("stream"));
    module.def("multiply_residues", &multiply_residues, py::arg("a"), py::arg("b"), py::arg("out"), py::arg("moduli"),
               py::arg("planes"), py::arg("M"), py::arg("N"), py::arg("P"), py::arg("tile"), py::arg("cluster"),
               py::arg("stream"));
}

// The Python module kernels._cuda: addresses of tensors on a GPU in, a kernel started on the caller's stream.
#include <cstdint>
#include <string>

#include <pybind11/pybind11.h>

#include "matmul.h"

namespace py = pybind11;

namespace {

void multiply(uintptr_t a, uintptr_t b, uintptr_t maxima_a, uintptr_t maxima_b, uintptr_t out, uintptr_t sums,
              int64_t batch, int64_t M, int64_t N, int64_t P, int64_t terms, int digits, int qmax, uintptr_t stream) {
    if (digits != 2 && digits != 3)
        throw py::value_error("multiply: got " + std::to_string(digits) + " digits, want 2 or 3");
    if (P <= 0 || P % 128 || terms <= 0 || terms % 128)
        throw py::value_error("multiply: got P " + std::to_string(P) + " and terms " + std::to_string(terms) +
                              ", want positive multiples of 128");
    const int64_t most = INT32_MAX / (digits == 2 ? 1 << 14 : 3 << 14);
    if (terms > most)
        throw py::value_error("multiply: got " + std::to_string(terms) + " terms, want at most " +
                              std::to_string(most) + ": an int32 sum would overflow");
    if (terms < P && !sums) throw py::value_error("multiply: got parts and no sums to add them to");
    int bits = 0;
    while (qmax >> bits) bits++;
    const isobit_cuda::Product product{
        reinterpret_cast<const int8_t *>(a),
        reinterpret_cast<const int8_t *>(b),
        reinterpret_cast<const int32_t *>(maxima_a),
        reinterpret_cast<const int32_t *>(maxima_b),
        reinterpret_cast<float *>(out),
        reinterpret_cast<int64_t *>(sums),
        batch,
        M,
        N,
        P,
        terms,
        qmax,
        bits,
    };
    if (const char *error = isobit_cuda::multiply(product, digits, reinterpret_cast<void *>(stream)))
        throw std::runtime_error(std::string("multiply: ") + error);
}

}  // namespace

PYBIND11_MODULE(_cuda, module) {
    module.def("devices", &isobit_cuda::devices, "The GPUs that this process can use; 0 where there is no driver.");
    module.def("multiply", &multiply, py::arg("a"), py::arg("b"), py::arg("maxima_a"), py::arg("maxima_b"),
               py::arg("out"), py::arg("sums"), py::arg("batch"), py::arg("M"), py::arg("N"), py::arg("P"),
               py::arg("terms"), py::arg("digits"), py::arg("qmax"), py::arg("stream"));
}

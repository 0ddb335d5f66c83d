// NumPy arrays as the tensors of the C ABI.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "operators.h"

namespace isobit::binding {

namespace py = pybind11;

constexpr int64_t MOST_THREADS = 1024;
constexpr int DTYPES = 5;

// NumPy's own object for each dtype; borrowed for the life of the process.
inline PyObject *descriptor(int32_t dtype) {
    static PyObject *const known[DTYPES] = {
        py::dtype::of<float>().release().ptr(), py::dtype::of<int64_t>().release().ptr(),
        py::dtype::of<int32_t>().release().ptr(), py::dtype::of<uint32_t>().release().ptr(),
        py::dtype::of<bool>().release().ptr()};
    if (dtype < 0 || dtype >= DTYPES)
        throw py::value_error("native: got dtype " + std::to_string(dtype) + ", want 0 to 4");
    return known[dtype];
}

inline int32_t dtype_of(const py::array &array) {
    PyObject *const own = reinterpret_cast<PyObject *>(py::detail::array_proxy(array.ptr())->descr);
    for (int32_t dtype = 0; dtype < DTYPES; ++dtype)
        if (own == descriptor(dtype)) return dtype;
    const py::dtype dtype = array.dtype();
    const char kind = dtype.kind();
    const auto size = dtype.itemsize();
    if (dtype.byteorder() == '>') return -1;
    if (kind == 'f' && size == 4) return FLOAT32;
    if (kind == 'i' && size == 8) return INT64;
    if (kind == 'i' && size == 4) return INT32;
    if (kind == 'u' && size == 4) return UINT32;
    return kind == 'b' ? BOOL : -1;
}

inline int64_t item_bytes(int32_t dtype) { return dtype == INT64 ? 8 : dtype == BOOL ? 1 : 4; }

// Whether the C ABI can take the array as it lies: strides of whole elements, none backwards.
inline bool is_plain(const py::array &array, int64_t size) {
    if (reinterpret_cast<uintptr_t>(array.data()) % size) return false;
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis)
        if (array.strides(axis) < 0 || array.strides(axis) % size) return false;
    return true;
}

inline int32_t want_dtype(const std::string &name, const py::array &array) {
    const int32_t dtype = dtype_of(array);
    if (dtype < 0)
        throw py::value_error(name + ": got an array of " + std::string(py::str(array.dtype())) +
                              ", want float32, int64, int32, uint32 or bool");
    return dtype;
}

inline void describe(const std::string &name, const py::array &array, isobit_tensor &tensor) {
    tensor = {};
    tensor.dtype = want_dtype(name, array);
    if (array.ndim() > 8)
        throw py::value_error(name + ": got rank " + std::to_string(array.ndim()) + ", want at most 8");
    const int64_t size = item_bytes(tensor.dtype);
    tensor.data = const_cast<void *>(array.data());
    tensor.rank = static_cast<int32_t>(array.ndim());
    for (int axis = 0; axis < tensor.rank; ++axis) {
        tensor.shape[axis] = array.shape(axis);
        tensor.stride[axis] = array.shape(axis) > 1 ? array.strides(axis) / size : 0;
    }
}

// An operand, converted where it is no array and copied where the C ABI cannot take it as it lies.
inline py::array operand(const std::string &name, py::handle input) {
    const bool is_array = py::isinstance<py::array>(input);
    auto array = is_array ? py::reinterpret_borrow<py::array>(input) : py::array::ensure(input);
    if (!array)
        throw py::value_error(name + ": got a " + std::string(Py_TYPE(input.ptr())->tp_name) + ", want an array");
    if (is_plain(array, item_bytes(want_dtype(name, array)))) return array;
    return py::array::ensure(array.attr("copy")("C"));
}

// A new array; a large one begins at a cache line, where kernels write whole lines.
inline py::array new_array(int32_t dtype, const std::vector<py::ssize_t> &shape) {
    constexpr py::ssize_t LARGE = 1 << 16, LINE = 64;
    PyObject *const type = descriptor(dtype);
    py::ssize_t bytes = item_bytes(dtype);
    bool is_too_large = false;  // which NumPy refuses
    for (const py::ssize_t size : shape) is_too_large |= __builtin_mul_overflow(bytes, size, &bytes);
    if (bytes < LARGE || is_too_large) {
        const auto &numpy = py::detail::npy_api::get();
        Py_INCREF(type);  // which the function takes
        PyObject *const array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, type, static_cast<int>(shape.size()),
                                                            shape.data(), nullptr, nullptr, 0, nullptr);
        if (!array) throw py::error_already_set();
        return py::reinterpret_steal<py::array>(array);
    }
    const py::array_t<uint8_t> memory(bytes + LINE);
    const auto address = reinterpret_cast<uintptr_t>(memory.data());
    return py::array(py::reinterpret_borrow<py::dtype>(type), shape,
                     reinterpret_cast<const void *>((address + LINE - 1) / LINE * LINE), memory);
}

[[noreturn]] inline void raise(const std::string &name, const isobit_error &error) {
    if (error.status == 3) throw std::bad_alloc();
    if (error.status != 2) throw py::value_error(error.message);
    const py::object type = py::module_::import("kernels.types").attr("Fault");
    PyErr_SetObject(type.ptr(), type(name, error.element, error.message).ptr());
    throw py::error_already_set();
}

inline int32_t thread_count(int64_t threads) {
    return static_cast<int32_t>(std::clamp<int64_t>(threads, 1, MOST_THREADS));
}

}  // namespace isobit::binding

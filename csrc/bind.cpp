// The Python module kernels._native: NumPy arrays in, NumPy arrays out, the GIL released in between.
#include <algorithm>
#include <string>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "hash.h"
#include "operators.h"

namespace py = pybind11;

namespace {

constexpr int64_t MOST_THREADS = 1024;

py::dtype numpy_dtype(int32_t dtype) {
    switch (dtype) {
        case isobit::FLOAT32: return py::dtype::of<float>();
        case isobit::INT64: return py::dtype::of<int64_t>();
        case isobit::INT32: return py::dtype::of<int32_t>();
        case isobit::UINT32: return py::dtype::of<uint32_t>();
        case isobit::BOOL: return py::dtype::of<bool>();
        default: throw py::value_error("native: got dtype " + std::to_string(dtype) + ", want 0 to 4");
    }
}

int32_t dtype_of(const py::array &array) {
    const py::dtype dtype = array.dtype();
    const char kind = dtype.kind();
    const auto size = dtype.itemsize();
    if (dtype.byteorder() == '>') return -1;
    if (kind == 'f' && size == 4) return isobit::FLOAT32;
    if (kind == 'i' && size == 8) return isobit::INT64;
    if (kind == 'i' && size == 4) return isobit::INT32;
    if (kind == 'u' && size == 4) return isobit::UINT32;
    return kind == 'b' ? isobit::BOOL : -1;
}

// Whether the C ABI can take the array as it lies: strides of whole elements, none backwards.
bool is_plain(const py::array &array) {
    const auto size = array.itemsize();
    if (reinterpret_cast<uintptr_t>(array.data()) % size) return false;
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis)
        if (array.strides(axis) < 0 || array.strides(axis) % size) return false;
    return true;
}

isobit_tensor describe(const std::string &name, const py::array &array) {
    isobit_tensor tensor{};
    tensor.dtype = dtype_of(array);
    if (tensor.dtype < 0)
        throw py::value_error(name + ": got an array of " + std::string(py::str(array.dtype())) +
                              ", want float32, int64, int32, uint32 or bool");
    if (array.ndim() > 8)
        throw py::value_error(name + ": got rank " + std::to_string(array.ndim()) + ", want at most 8");
    tensor.data = const_cast<void *>(array.data());
    tensor.rank = static_cast<int32_t>(array.ndim());
    for (int axis = 0; axis < tensor.rank; ++axis) {
        tensor.shape[axis] = array.shape(axis);
        tensor.stride[axis] = array.shape(axis) > 1 ? array.strides(axis) / array.itemsize() : 0;
    }
    return tensor;
}

// A new array; a large one begins at a cache line, where kernels write whole lines.
py::array new_array(int32_t dtype, const std::vector<py::ssize_t> &shape) {
    constexpr py::ssize_t LARGE = 1 << 16, LINE = 64;
    const py::dtype type = numpy_dtype(dtype);
    py::ssize_t bytes = type.itemsize();
    bool is_too_large = false;  // which NumPy refuses
    for (const py::ssize_t size : shape) is_too_large |= __builtin_mul_overflow(bytes, size, &bytes);
    if (bytes < LARGE || is_too_large) return py::array(type, shape);
    const py::array_t<uint8_t> memory(bytes + LINE);
    const auto address = reinterpret_cast<uintptr_t>(memory.data());
    return py::array(type, shape, reinterpret_cast<const void *>((address + LINE - 1) / LINE * LINE), memory);
}

[[noreturn]] void raise(const std::string &name, const isobit_error &error) {
    if (error.status == 3) throw std::bad_alloc();
    if (error.status != 2) throw py::value_error(error.message);
    const py::object type = py::module_::import("kernels.types").attr("Fault");
    PyErr_SetObject(type.ptr(), type(name, error.element, error.message).ptr());
    throw py::error_already_set();
}

int32_t thread_count(int64_t threads) { return static_cast<int32_t>(std::clamp<int64_t>(threads, 1, MOST_THREADS)); }

py::array run(const std::string &name, const py::list &inputs, const std::vector<int64_t> &attributes, int32_t dtype,
              const std::vector<py::ssize_t> &shape, int64_t threads, const py::object &out) {
    const isobit_operator function = isobit_find(name.c_str());
    if (!function) throw py::value_error("native: got operator " + name + ", want one of the law");
    std::vector<py::array> kept;
    std::vector<isobit_tensor> tensors;
    for (const py::handle &input : inputs) {
        py::array array = py::cast<py::array>(input);
        if (!is_plain(array)) array = py::array::ensure(array.attr("copy")("C"));
        tensors.push_back(describe(name, array));
        kept.push_back(std::move(array));
    }
    py::array output = out.is_none() ? new_array(dtype, shape) : py::cast<py::array>(out);
    if (!output.writeable()) throw py::value_error(name + ": got an output that is read-only, want a writeable one");
    isobit_tensor result = describe(name, output);
    if (result.dtype != dtype ||
        !std::equal(shape.begin(), shape.end(), output.shape(), output.shape() + output.ndim()))
        throw py::value_error(name + ": got an output of another dtype or shape than the one named, want them equal");
    for (py::ssize_t axis = 0; axis < output.ndim(); ++axis)
        if (output.strides(axis) < 0)
            throw py::value_error(name + ": got an output with a negative stride, want it contiguous");
    const isobit_call call{tensors.data(),    static_cast<int32_t>(tensors.size()),
                           attributes.data(), static_cast<int32_t>(attributes.size()),
                           &result,           thread_count(threads)};
    isobit_error error{};
    int32_t status;
    {
        py::gil_scoped_release release;
        status = function(&call, &error);
    }
    if (status) raise(name, error);
    return output;
}

void run_group(const py::list &inputs, const py::list &outputs, const py::array_t<int32_t, py::array::c_style> &code,
               int64_t size, int64_t columns, int64_t threads) {
    std::vector<py::array> kept;
    const auto describe_all = [&](const py::list &arrays, bool copy) {
        std::vector<isobit_tensor> tensors;
        for (const py::handle &item : arrays) {
            py::array array = py::cast<py::array>(item);
            if (copy && !is_plain(array)) array = py::array::ensure(array.attr("copy")("C"));
            if (!copy && (!array.writeable() || !is_plain(array)))
                throw py::value_error("group: got an output that is read-only or strided");
            tensors.push_back(describe("group", array));
            kept.push_back(std::move(array));
        }
        return tensors;
    };
    const std::vector<isobit_tensor> in = describe_all(inputs, true), out = describe_all(outputs, false);
    const isobit_group group{in.data(),
                             static_cast<int32_t>(in.size()),
                             out.data(),
                             static_cast<int32_t>(out.size()),
                             code.data(),
                             static_cast<int32_t>(code.size()),
                             size,
                             columns,
                             thread_count(threads)};
    isobit_error error{};
    int32_t status;
    {
        py::gil_scoped_release release;
        status = isobit_run_group(&group, &error);
    }
    if (status) raise("group", error);
}

std::string isa() {
    char message[256];
    const char *name = isobit::isa_name(message, sizeof message);
    if (!name) throw py::value_error(std::string("native: ") + message);
    return name;
}

struct Bytes {
    py::buffer_info info;
    const uint8_t *data;
    int64_t size;
};

Bytes bytes_of(const py::buffer &buffer) {
    Bytes bytes{buffer.request(), nullptr, 0};
    py::ssize_t expected = bytes.info.itemsize;
    for (py::ssize_t axis = bytes.info.ndim - 1; axis >= 0 && bytes.info.size; --axis) {
        if (bytes.info.shape[axis] > 1 && bytes.info.strides[axis] != expected)
            throw py::value_error("hash: got a strided buffer, want a contiguous one");
        expected *= bytes.info.shape[axis];
    }
    bytes.data = static_cast<const uint8_t *>(bytes.info.ptr);
    bytes.size = bytes.info.size * bytes.info.itemsize;
    return bytes;
}

void want_positive(const char *what, int64_t value) {
    if (value < 1)
        throw py::value_error("hash: got " + std::string(what) + " " + std::to_string(value) + ", want 1 or more");
}

py::bytes digest_bytes(const isobit::Digest &digest) {
    return {reinterpret_cast<const char *>(digest.bytes), sizeof digest.bytes};
}

std::vector<isobit::Digest> hash_leaves(const Bytes &bytes, int64_t leaf_size, int64_t threads) {
    want_positive("leaf_size", leaf_size);
    py::gil_scoped_release release;
    return isobit::leaf_hashes(bytes.data, bytes.size, leaf_size, thread_count(threads));
}

py::bytes leaf_hashes(const py::buffer &buffer, int64_t leaf_size, int64_t threads) {
    const std::vector<isobit::Digest> hashes = hash_leaves(bytes_of(buffer), leaf_size, threads);
    return {reinterpret_cast<const char *>(hashes.data()), hashes.size() * sizeof(isobit::Digest)};
}

py::bytes tree_root(const py::buffer &buffer, int64_t leaf_size, int64_t threads) {
    std::vector<isobit::Digest> hashes = hash_leaves(bytes_of(buffer), leaf_size, threads);
    py::gil_scoped_release release;
    const isobit::Digest root = isobit::root_of_hashes(std::move(hashes), thread_count(threads));
    py::gil_scoped_acquire acquire;
    return digest_bytes(root);
}

// The roots over each run of leaves of each buffer, all buffers in one pass.
py::list many_subtree_roots(const std::vector<py::buffer> &buffers, int64_t leaf_size, int64_t leaves_per_subtree,
                            int64_t threads) {
    want_positive("leaf_size", leaf_size);
    want_positive("leaves_per_subtree", leaves_per_subtree);
    std::vector<Bytes> held;  // for as long as their pieces are read
    std::vector<isobit::Piece> pieces;
    for (const py::buffer &buffer : buffers) held.push_back(bytes_of(buffer));
    const int64_t most = leaf_size * leaves_per_subtree;
    for (const Bytes &bytes : held)
        for (int64_t at = 0; at < bytes.size; at += most)
            pieces.push_back({bytes.data + at, std::min(most, bytes.size - at)});
    std::vector<isobit::Digest> roots;
    {
        py::gil_scoped_release release;
        roots = isobit::piece_roots(pieces, leaf_size, thread_count(threads));
    }
    py::list result;
    auto root = roots.begin();
    for (const Bytes &bytes : held) {
        py::list own;
        for (int64_t at = 0; at < bytes.size; at += most) own.append(digest_bytes(*root++));
        result.append(own);
    }
    return result;
}

py::list subtree_roots(const py::buffer &buffer, int64_t leaf_size, int64_t leaves_per_subtree, int64_t threads) {
    return many_subtree_roots({buffer}, leaf_size, leaves_per_subtree, threads)[0];
}

py::bytes root_of_hashes(const py::bytes &joined) {
    const std::string_view view = joined;
    if (view.size() % sizeof(isobit::Digest))
        throw py::value_error("hash: got " + std::to_string(view.size()) + " bytes, want a multiple of 32");
    std::vector<isobit::Digest> hashes(view.size() / sizeof(isobit::Digest));
    std::copy(view.begin(), view.end(), reinterpret_cast<char *>(hashes.data()));
    return digest_bytes(isobit::root_of_hashes(std::move(hashes), 1));
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "The native operators and hashes; kernels.native gives them the form of a backend.";
    module.def(
        "run", &run, py::arg("name"), py::arg("inputs"), py::arg("attributes"), py::arg("dtype"), py::arg("shape"),
        py::arg("threads") = 1, py::arg("out") = py::none(),
        "One operator: dtype and shape are the result's; out, where given, is a contiguous array to write it to.");
    module.def("run_group", &run_group, py::arg("inputs"), py::arg("outputs"), py::arg("code"), py::arg("size"),
               py::arg("columns") = 0, py::arg("threads") = 1,
               "A group of operators in one pass (csrc/cpu/group.cpp).");
    module.def(
        "operator_index", [](const std::string &name) { return isobit_operator_index(name.c_str()); }, py::arg("name"),
        "The number of an operator in a group's code; -1 if there is none.");
    module.def("isa", &isa, "The instruction set in use: plain, avx2, avx512, amx or neon.");
    module.def("tree_root", &tree_root, py::arg("buffer"), py::arg("leaf_size") = 1024, py::arg("threads") = 1,
               "The root (RFC 6962) over leaves of leaf_size bytes.");
    module.def("subtree_roots", &subtree_roots, py::arg("buffer"), py::arg("leaf_size"), py::arg("leaves_per_subtree"),
               py::arg("threads") = 1, "The roots over each run of leaves_per_subtree leaves.");
    module.def("many_subtree_roots", &many_subtree_roots, py::arg("buffers"), py::arg("leaf_size"),
               py::arg("leaves_per_subtree"), py::arg("threads") = 1, "The same of several buffers, together.");
    module.def("leaf_hashes", &leaf_hashes, py::arg("buffer"), py::arg("leaf_size") = 1024, py::arg("threads") = 1,
               "The leaf hashes, 32 bytes each, joined.");
    module.def("root_of_hashes", &root_of_hashes, py::arg("hashes"), "The root over leaf hashes, 32 bytes each.");
}

// The Python module kernels._native: NumPy arrays in, NumPy arrays out, the GIL released in between.
#include <pybind11/stl.h>

#include "bind_cache.h"
#include "hash.h"

namespace py = pybind11;

namespace isobit {
const char *sources();  // sources.cpp
}

namespace {

using isobit::binding::thread_count;

py::array run(const std::string &name, const py::list &inputs, const std::vector<int64_t> &attributes, int32_t dtype,
              const std::vector<py::ssize_t> &shape, int64_t threads, const py::object &out) {
    return isobit::binding::Plan(name, attributes, dtype, shape).run(inputs, threads, out);
}

void run_group(const py::list &inputs, const py::list &outputs, const py::array_t<int32_t, py::array::c_style> &code,
               int64_t size, int64_t columns, int64_t threads) {
    std::vector<py::array> kept;
    const auto describe_all = [&](const py::list &arrays, bool copy) {
        std::vector<isobit_tensor> tensors;
        for (const py::handle &item : arrays) {
            const std::string name = "group";
            py::array array = isobit::binding::operand(name, item);
            if (!copy && (array.ptr() != item.ptr() || !array.writeable()))
                throw py::value_error("group: got an output that is read-only or strided");
            isobit::binding::describe(name, array, tensors.emplace_back());
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
    if (status) isobit::binding::raise("group", error);
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
    module.attr("sources") = isobit::sources();  // kernels/native_library.py refuses a module of others
    module.def(
        "run", &run, py::arg("name"), py::arg("inputs"), py::arg("attributes"), py::arg("dtype"), py::arg("shape"),
        py::arg("threads") = 1, py::arg("out") = py::none(),
        "One operator: dtype and shape are the result's; out, where given, is a contiguous array to write it to.");
    module.def("plan", &isobit::binding::plan, py::arg("name"), py::arg("attributes"), py::arg("dtype"),
               py::arg("shape"), "The same as a function of (inputs, threads, out).");
    module.def("cached", &isobit::binding::cached, py::arg("planner"),
               "A function of (op, inputs, attributes, threads, out); planner gives what run asks for, once a type.");
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

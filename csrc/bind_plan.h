// A call of an operator with all decided that only types and attributes decide, and a cache of such plans.
//
// What runs here runs before and after every operator, so it is plain C functions of Python, without copies.
#pragma once

#include <memory>
#include <string_view>

#include "bind_arrays.h"

namespace isobit::binding {

struct Plan {
    std::string name;
    isobit_operator function;
    std::vector<int64_t> attributes;
    int32_t dtype;
    std::vector<py::ssize_t> shape;

    Plan(std::string name_, std::vector<int64_t> attributes_, int32_t dtype_, std::vector<py::ssize_t> shape_)
        : name(std::move(name_)),
          function(isobit_find(name.c_str())),
          attributes(std::move(attributes_)),
          dtype(dtype_),
          shape(std::move(shape_)) {
        if (!function) throw py::value_error("native: got operator " + name + ", want one of the law");
    }

    // A given output is the one that was named, and contiguous where the C ABI says so.
    void check_output(const py::array &output, const isobit_tensor &result) const {
        if (!output.writeable())
            throw py::value_error(name + ": got an output that is read-only, want a writeable one");
        if (result.dtype != dtype ||
            !std::equal(shape.begin(), shape.end(), output.shape(), output.shape() + output.ndim()))
            throw py::value_error(name +
                                  ": got an output of another dtype or shape than the one named, want them equal");
        for (py::ssize_t axis = 0; axis < output.ndim(); ++axis)
            if (output.strides(axis) < 0)
                throw py::value_error(name + ": got an output with a negative stride, want it contiguous");
    }

    // inputs: a list or tuple of arrays; out: an array or None.
    py::array run(py::handle inputs, int64_t threads, py::handle out) const {
        constexpr int FEW = 8;  // operands that need no memory of their own
        isobit_tensor some[FEW], result;
        py::object kept_some[FEW];  // an empty py::array would be a new array
        std::vector<isobit_tensor> many;
        std::vector<py::object> kept_many;
        if (!PyList_Check(inputs.ptr()) && !PyTuple_Check(inputs.ptr()))
            throw py::value_error(name + ": got inputs that are neither a list nor a tuple");
        const auto count = PySequence_Fast_GET_SIZE(inputs.ptr());
        if (count > FEW) many.resize(count), kept_many.resize(count);
        isobit_tensor *const tensors = count > FEW ? many.data() : some;
        py::object *const kept = count > FEW ? kept_many.data() : kept_some;
        for (py::ssize_t i = 0; i < count; ++i) {
            py::array array = operand(name, PySequence_Fast_GET_ITEM(inputs.ptr(), i));
            describe(name, array, tensors[i]);
            kept[i] = std::move(array);
        }
        const bool is_given = out && !out.is_none();
        const py::array output = is_given ? py::cast<py::array>(out) : new_array(dtype, shape);
        describe(name, output, result);
        if (is_given) check_output(output, result);
        const isobit_call call{tensors,           static_cast<int32_t>(count),
                               attributes.data(), static_cast<int32_t>(attributes.size()),
                               &result,           thread_count(threads)};
        isobit_error error;
        PyThreadState *const state = PyEval_SaveThread();
        const int32_t status = function(&call, &error);
        PyEval_RestoreThread(state);
        if (status) raise(name, error);
        return output;
    }
};

// The arguments of a call by position or name, in the order of `names`; null where they are not given.
template <int COUNT>
void arrange(const char *const (&names)[COUNT], PyObject *const *arguments, py::ssize_t given, PyObject *keywords,
             PyObject *(&out)[COUNT]) {
    if (given > COUNT) throw py::type_error("native: got too many arguments");
    std::copy_n(arguments, given, out);
    for (py::ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); ++i) {
        int at = 0;
        while (at < COUNT && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, i), names[at])) ++at;
        if (at == COUNT || out[at]) throw py::type_error("native: got an argument that is unknown or given twice");
        out[at] = arguments[given + i];
    }
}

inline int64_t threads_of(PyObject *threads) {
    if (!threads) return 1;
    const int64_t count = PyLong_AsLongLong(threads);
    if (count == -1 && PyErr_Occurred()) throw py::error_already_set();
    return count;
}

// What `body` gives; its exceptions become Python's.
template <class Body>
PyObject *guarded(const Body &body) noexcept {
    try {
        return body();
    } catch (py::error_already_set &error) {
        error.restore();
    } catch (const py::builtin_exception &error) {
        error.set_error();
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
    } catch (const std::exception &error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

using FastCall = PyObject *(*)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

// A Python function over an object that it keeps.
template <class Kept>
py::object function_over(std::unique_ptr<Kept> kept, PyMethodDef &method) {
    const py::capsule self(kept.get(), [](void *object) { delete static_cast<Kept *>(object); });
    kept.release();
    PyObject *const function = PyCFunction_NewEx(&method, self.ptr(), nullptr);
    if (!function) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(function);
}

template <class Kept>
const Kept *kept_by(PyObject *self) {
    return static_cast<Kept *>(PyCapsule_GetPointer(self, nullptr));
}

inline PyObject *call_plan(PyObject *self, PyObject *const *arguments, Py_ssize_t given, PyObject *keywords) {
    return guarded([&] {
        PyObject *found[3] = {};
        arrange({"inputs", "threads", "out"}, arguments, given, keywords, found);
        if (!found[0]) throw py::type_error("native: got no inputs");
        return kept_by<Plan>(self)->run(found[0], threads_of(found[1]), found[2]).release().ptr();
    });
}

inline py::object plan(const std::string &name, const std::vector<int64_t> &attributes, int32_t dtype,
                       const std::vector<py::ssize_t> &shape) {
    descriptor(dtype);  // refuses what is none
    static PyMethodDef method = {
        "planned", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(FastCall(call_plan))),
        METH_FASTCALL | METH_KEYWORDS, "(inputs, threads=1, out=None) -> the operator's value"};
    return function_over(std::make_unique<Plan>(name, attributes, dtype, shape), method);
}

}  // namespace isobit::binding

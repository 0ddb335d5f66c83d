// Operators by name, attributes and operand types, each planned once: what kernels.native.run calls.
#pragma once

#include "bind_plan.h"

namespace isobit::binding {

// A call's operator, attributes and operand types as bytes: equal bytes have equal plans.
class Key {
  public:
    // Nothing where a part has no such form, or all have not enough room: then the call is planned anew.
    std::string_view of(PyObject *op, PyObject *inputs, PyObject *attributes) {
        bool fits = add_text(op);
        PyObject *name, *value;
        for (Py_ssize_t at = 0; fits && PyDict_Next(attributes, &at, &name, &value);)
            fits = add_text(name) && add_value(value);
        fits = fits && add('|');
        for (py::ssize_t i = 0; fits && i < PySequence_Fast_GET_SIZE(inputs); ++i)
            fits = add_type(PySequence_Fast_GET_ITEM(inputs, i));
        return fits ? std::string_view(bytes_, size_) : std::string_view();
    }

  private:
    static constexpr size_t ROOM = 1024;

    bool add_bytes(const void *data, size_t size) {
        if (size > ROOM - size_) return false;
        std::memcpy(bytes_ + size_, data, size);
        size_ += size;
        return true;
    }

    template <class T>
    bool add(T value) {
        return add_bytes(&value, sizeof value);
    }

    bool add_text(PyObject *text) {
        Py_ssize_t size;
        const char *const data = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : nullptr;
        if (!data) PyErr_Clear();
        return data && add('s') && add(size) && add_bytes(data, size);
    }

    bool add_integer(PyObject *value) {
        if (!PyLong_Check(value)) return false;
        int overflow;
        const long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);
        return !overflow && add('i') && add(integer);
    }

    bool add_value(PyObject *value) {
        if (PyUnicode_Check(value)) return add_text(value);
        if (!PyTuple_Check(value) && !PyList_Check(value)) return add_integer(value);
        bool fits = add('t') && add(PySequence_Fast_GET_SIZE(value));
        for (py::ssize_t i = 0; fits && i < PySequence_Fast_GET_SIZE(value); ++i)
            fits = add_integer(PySequence_Fast_GET_ITEM(value, i));
        return fits;
    }

    bool add_type(PyObject *input) {
        if (!py::isinstance<py::array>(input)) return false;
        const auto array = py::reinterpret_borrow<py::array>(input);
        return add(dtype_of(array)) && add(array.ndim()) &&
               add_bytes(array.shape(), array.ndim() * sizeof(py::ssize_t));
    }

    char bytes_[ROOM];
    size_t size_ = 0;
};

// Plans by the hash of their key, the last one in each place; planner: (op, inputs, attributes) -> (attributes as
// integers, dtype, shape).
class Cache {
  public:
    explicit Cache(py::function planner) : planner_(std::move(planner)), places_(PLACES) {}

    // Shared: while one call runs without the GIL, another may put its plan in this place.
    std::shared_ptr<const Plan> find(PyObject *op, PyObject *inputs, PyObject *attributes) {
        Key key;
        const std::string_view bytes = key.of(op, inputs, attributes);
        Place &place = places_[std::hash<std::string_view>()(bytes) % PLACES];
        if (place.plan && !bytes.empty() && place.key == bytes) return place.plan;
        const py::tuple parts = planner_(py::handle(op), py::handle(inputs), py::handle(attributes));
        auto plan = std::make_shared<const Plan>(py::cast<std::string>(py::handle(op)),
                                                 py::cast<std::vector<int64_t>>(parts[0]), py::cast<int32_t>(parts[1]),
                                                 py::cast<std::vector<py::ssize_t>>(parts[2]));
        if (!bytes.empty()) place.key = bytes, place.plan = plan;
        return plan;
    }

  private:
    static constexpr size_t PLACES = 4096;
    struct Place {
        std::string key;
        std::shared_ptr<const Plan> plan;
    };
    py::function planner_;
    std::vector<Place> places_;
};

inline PyObject *call_cached(PyObject *self, PyObject *const *arguments, Py_ssize_t given, PyObject *keywords) {
    return guarded([&] {
        PyObject *found[5] = {};
        arrange({"op", "inputs", "attributes", "threads", "out"}, arguments, given, keywords, found);
        if (!found[2]) throw py::type_error("native: got too few arguments, want op, inputs and attributes");
        if (!PyList_Check(found[1]) && !PyTuple_Check(found[1]))
            throw py::type_error("native: got inputs that are neither a list nor a tuple");
        if (!PyDict_Check(found[2])) throw py::type_error("native: got attributes that are no dict");
        const auto plan = static_cast<Cache *>(PyCapsule_GetPointer(self, nullptr))->find(found[0], found[1], found[2]);
        return plan->run(found[1], threads_of(found[3]), found[4]).release().ptr();
    });
}

inline py::object cached(const py::function &planner) {
    static PyMethodDef method = {
        "cached", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(FastCall(call_cached))),
        METH_FASTCALL | METH_KEYWORDS, "(op, inputs, attributes, threads=1, out=None) -> the operator's value"};
    return function_over(std::make_unique<Cache>(planner), method);
}

}  // namespace isobit::binding

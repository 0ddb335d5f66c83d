// The digest that setup.py computes over the sources (kernels/native_sources.py), in a file of its own: it is compiled
// again whenever any of them changes.
namespace isobit {

const char *sources() { return ISOBIT_SOURCES; }

}  // namespace isobit

// The operators of one instruction set, in the order of the list.
#include "../operators.h"

namespace isobit::ISOBIT_ISA {

#define DECLARE(name) void op_##name(const isobit_call &);
ISOBIT_OPERATORS(DECLARE)

extern const Kernel table[];
#define ENTRY(name) op_##name,
const Kernel table[] = {ISOBIT_OPERATORS(ENTRY)};

void run_group(const isobit_group &);
extern const GroupKernel group_kernel;
const GroupKernel group_kernel = run_group;

}  // namespace isobit::ISOBIT_ISA

// The instruction set in use, and the index of every operator in its table.
#pragma once

#include "operators.h"

namespace isobit {

enum Index {
#define INDEX(name) INDEX_##name,
    ISOBIT_OPERATORS(INDEX)
#undef INDEX
        OPERATORS
};

struct Isa {
    const char *name;
    const Kernel *table;
    GroupKernel group;
    bool usable;
};

const Isa &chosen_isa();  // chosen once; a refusal where ISOBIT_ISA asks for what is not there

}  // namespace isobit

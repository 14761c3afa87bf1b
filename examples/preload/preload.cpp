// SPDX-License-Identifier: BSL-1.0
// malloc and new of any program on miniheaps: LD_PRELOAD=$(./examples/run preload | tail -n 1) PROGRAM
#define MINIHEAP_REPLACE_MALLOC
#include <miniheap/replace_malloc.hpp>

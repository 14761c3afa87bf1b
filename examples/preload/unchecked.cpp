// SPDX-License-Identifier: BSL-1.0
// The same without any check, as most other mallocs are: LD_PRELOAD=$(./examples/run preload unchecked | tail -n 1)
// PROGRAM
#define MINIHEAP_REPLACE_MALLOC miniheap::miniheap_unchecked_arena
#include <miniheap/replace_malloc.hpp>

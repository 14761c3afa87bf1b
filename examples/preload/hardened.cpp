// SPDX-License-Identifier: BSL-1.0
// The same with hardened miniheaps: LD_PRELOAD=$(./examples/run preload hardened | tail -n 1) PROGRAM
#define MINIHEAP_REPLACE_MALLOC miniheap::miniheap_hardened_arena
#include <miniheap/replace_malloc.hpp>

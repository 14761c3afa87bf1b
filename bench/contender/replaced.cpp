// SPDX-License-Identifier: BSL-1.0
// std::allocator alone, to be linked with a library that replaces malloc.

#include "../harness.hpp"
#include "std_allocator.hpp"

int main(int argc, char** argv) { return bench::run<bench::std_allocator>(argc, argv); }

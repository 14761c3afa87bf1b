// SPDX-License-Identifier: BSL-1.0
// What libFuzzer calls. MINIHEAP_FUZZ_TARGET names the body.
#include "fuzz/bodies.hpp"

#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    fuzz::MINIHEAP_FUZZ_TARGET({data, size});
  } catch (const model::broken_promise& broken) {
    std::fprintf(stderr, "broken promise: %s\n", broken.what());
    std::abort();
  }
  return 0;
}

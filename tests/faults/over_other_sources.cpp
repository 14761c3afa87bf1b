// SPDX-License-Identifier: BSL-1.0
#include "faults/combinations.hpp"

using namespace miniheap;
using faults::emulated_system;

std::vector<faults::combination> faults::over_other_sources() {
  using coarse = coarse_lock<>;
  using limited = limited_source<emulated_system>;
  const auto system = [] { return mmap_source{}; };
  const auto buffer = [] { return buffer_source{emulated_system::memory(), emulated_system::memory_bytes}; };
  return {
      combine<arena_of<mmap_source, no_lock, first_fit, fullest_first, with_reserve>, no_lock>(
          "no_lock, first_fit, fullest_first, over the operating system", system),
      combine<arena_of<buffer_source, no_lock, first_fit, fullest_first, with_reserve>, no_lock>(
          "no_lock, first_fit, fullest_first, over a buffer", buffer),
      combine<thread_cached<arena_of<buffer_source, coarse, best_fit, newest_first, adaptive>>, coarse>(
          "thread_cached, coarse_lock, best_fit, newest_first, adaptive reserve, over a buffer", buffer),
      combine<arena_of<plain_source, coarse, next_fit, fullest_first, with_reserve>, coarse>(
          "coarse_lock, next_fit, fullest_first, over a plain source", [] { return plain_source{}; }),
      combine<arena_of<limited, no_lock, good_fit, emptiest_first, with_reserve>, no_lock>(
          "no_lock, good_fit, emptiest_first, over a limited source", [] { return limited{64 * MiB}; }),
      combine<thread_cached<arena_of<mmap_source, coarse, first_fit, fullest_first, huge_pages>>, coarse>(
          "thread_cached, coarse_lock, first_fit, fullest_first, huge pages, over the operating system", system),
  };
}

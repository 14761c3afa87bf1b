// SPDX-License-Identifier: BSL-1.0
#include "faults/combinations.hpp"

using namespace miniheap;

std::vector<faults::combination> faults::over_other_sources() {
  using coarse = coarse_lock<>;
  using limited = limited_source<mmap_source>;
  constexpr std::size_t buffer_bytes = 32 * MiB;
  static const std::unique_ptr<std::byte[]> memory{new std::byte[buffer_bytes]};
  const auto buffer = [] { return buffer_source{memory.get(), buffer_bytes}; };  // there is one arena at a time
  return {
      combine<arena_of<buffer_source, no_lock, first_fit, fullest_first, with_reserve>, no_lock>(
          "no_lock, first_fit, fullest_first, over a buffer", buffer),
      combine<thread_cached<arena_of<buffer_source, coarse, best_fit, newest_first, adaptive>>, coarse>(
          "thread_cached, coarse_lock, best_fit, newest_first, adaptive reserve, over a buffer", buffer),
      combine<arena_of<plain_source, coarse, next_fit, fullest_first, with_reserve>, coarse>(
          "coarse_lock, next_fit, fullest_first, over a plain source", [] { return plain_source{}; }),
      combine<arena_of<limited, no_lock, good_fit, emptiest_first, with_reserve>, no_lock>(
          "no_lock, good_fit, emptiest_first, over a limited source", [] { return limited{64 * MiB}; }),
  };
}

// SPDX-License-Identifier: BSL-1.0
#include "faults/combinations.hpp"

#include <mutex>

using namespace miniheap;
using faults::emulated_system;

std::vector<faults::combination> faults::shared() {
  using coarse = coarse_lock<>;
  using standard = coarse_lock<std::mutex>;
  return {
      combine<arena_of<emulated_system, coarse, good_fit, newest_first, with_reserve>, coarse>(
          "coarse_lock, good_fit, newest_first"),
      combine<arena_of<emulated_system, standard, best_fit, fullest_first, adaptive>, standard>(
          "coarse_lock<std::mutex>, best_fit, fullest_first, adaptive reserve"),
      combine<arena_of<emulated_system, fine_grained_lock, first_fit, fullest_first, huge_pages>, fine_grained_lock>(
          "fine_grained_lock, first_fit, fullest_first, huge pages"),
      combine<arena_of<emulated_system, fine_grained_lock, next_fit, emptiest_first, without_reserve>,
              fine_grained_lock>("fine_grained_lock, next_fit, emptiest_first, no reserve"),
  };
}

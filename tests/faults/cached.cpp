// SPDX-License-Identifier: BSL-1.0
#include "faults/combinations.hpp"

using namespace miniheap;
using faults::emulated_system;

std::vector<faults::combination> faults::cached() {
  using coarse = coarse_lock<>;
  using fine = fine_grained_lock;
  return {
      combine<thread_cached<arena_of<emulated_system, coarse, first_fit, fullest_first, with_reserve>>, coarse>(
          "thread_cached, coarse_lock, first_fit, fullest_first"),
      combine<thread_cached<arena_of<emulated_system, coarse, best_fit, lowest_address_first, adaptive>>, coarse>(
          "thread_cached, coarse_lock, best_fit, lowest_address_first, adaptive reserve"),
      combine<thread_cached<arena_of<emulated_system, fine, good_fit, fullest_first, without_reserve>>, fine>(
          "thread_cached, fine_grained_lock, good_fit, fullest_first, no reserve"),
  };
}

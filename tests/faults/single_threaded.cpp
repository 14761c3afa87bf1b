// SPDX-License-Identifier: BSL-1.0
#include "faults/combinations.hpp"

using namespace miniheap;
using faults::emulated_system;

std::vector<faults::combination> faults::single_threaded() {
  return {
      combine<arena_of<emulated_system, no_lock, first_fit, fullest_first, with_reserve>, no_lock>(
          "no_lock, first_fit, fullest_first"),
      combine<arena_of<emulated_system, no_lock, best_fit, emptiest_first, without_reserve>, no_lock>(
          "no_lock, best_fit, emptiest_first, no reserve"),
      combine<arena_of<emulated_system, no_lock, next_fit, newest_first, huge_pages>, no_lock>(
          "no_lock, next_fit, newest_first, huge pages"),
      combine<arena_of<emulated_system, no_lock, good_fit, lowest_address_first, adaptive>, no_lock>(
          "no_lock, good_fit, lowest_address_first, adaptive reserve"),
      combine<arena_of<emulated_system, no_lock, best_fit, newest_first, longer>, no_lock>(
          "no_lock, best_fit, newest_first, miniheaps of 256 KiB"),
  };
}

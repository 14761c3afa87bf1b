// SPDX-License-Identifier: BSL-1.0
#include "faults/combinations.hpp"

using namespace miniheap;

std::vector<faults::combination> faults::single_threaded() {
  return {
      combine<arena_of<mmap_source, no_lock, first_fit, fullest_first, with_reserve>, no_lock>(
          "no_lock, first_fit, fullest_first"),
      combine<arena_of<mmap_source, no_lock, best_fit, emptiest_first, without_reserve>, no_lock>(
          "no_lock, best_fit, emptiest_first, no reserve"),
      combine<arena_of<mmap_source, no_lock, next_fit, newest_first, huge_pages>, no_lock>(
          "no_lock, next_fit, newest_first, huge pages"),
      combine<arena_of<mmap_source, no_lock, good_fit, lowest_address_first, adaptive>, no_lock>(
          "no_lock, good_fit, lowest_address_first, adaptive reserve"),
  };
}

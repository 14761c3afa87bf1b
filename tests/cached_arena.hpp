// SPDX-License-Identifier: BSL-1.0
// An arena with a thread cache that keeps nothing in reserve, so that what leaves the cache goes back to the page
// source, which counts; and allocations by the dozen.
#pragma once

#include <miniheap/thread_cache.hpp>

#include <vector>

using cached_arena = miniheap::thread_cached<miniheap::miniheap_arena<
    miniheap::counting_source<>, miniheap::coarse_lock<>, miniheap::first_fit, miniheap::fullest_first,
    miniheap::arena_config{.miniheap_bytes = 256 * miniheap::KiB, .reserve_ceiling_bytes = 0}>>;

inline std::vector<void*> allocate_some(cached_arena& arena, int count, std::size_t bytes) {
  std::vector<void*> all;
  for (int n = 0; n < count; ++n) all.push_back(arena.allocate(bytes));
  return all;
}

inline void deallocate_all(cached_arena& arena, const std::vector<void*>& all) {
  for (void* const p : all) arena.deallocate(p);
}

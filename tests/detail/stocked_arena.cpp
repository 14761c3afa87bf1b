// SPDX-License-Identifier: BSL-1.0
// Where memory is short, or cannot be had.
#include <miniheap/detail/stocked_arena.hpp>

#include "cached_arena.hpp"
#include "catch.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

using namespace miniheap;

TEST_CASE("stocked_arena: what cannot be had throws, and nothing is lost", "[thread_cache]") {
  cached_arena arena;
  auto* const p = static_cast<unsigned char*>(arena.allocate(64));
  std::memset(p, 7, 64);
  CHECK_THROWS_AS(arena.allocate(SIZE_MAX / 2), std::bad_alloc);
  CHECK_THROWS_AS(arena.allocate(64, 3), std::bad_alloc);
  CHECK_THROWS_AS(arena.reallocate(p, SIZE_MAX / 2), std::bad_alloc);
  CHECK_THROWS_AS(arena.reallocate(p, 64, 3), std::bad_alloc);
  CHECK(std::count(p, p + 64, 7) == 64);
  CHECK(arena.stats().allocations == 1);
  arena.deallocate(p);
  CHECK(arena.check());
}

TEST_CASE("stocked_arena: zeroed memory is had from what is in stock, too", "[thread_cache]") {
  using tight = thread_cached<miniheap_arena<limited_source<>, coarse_lock<>, first_fit, fullest_first,
                                             arena_config{.miniheap_bytes = 256 * KiB, .reserve_ceiling_bytes = 0}>>;
  tight arena{limited_source<>{1 * MiB}};
  std::vector<void*> all;
  while (void* const p = arena.try_allocate(4000)) all.push_back(p);
  for (void* const p : all) arena.deallocate(p);
  void* const p = arena.try_allocate_zeroed(500000);
  CHECK(p != nullptr);
  arena.deallocate(p);
}

TEST_CASE("stocked_arena: a mapping grows into what was in stock", "[thread_cache]") {
  using tight = thread_cached<miniheap_arena<limited_source<>, coarse_lock<>, first_fit, fullest_first,
                                             arena_config{.miniheap_bytes = 256 * KiB, .reserve_ceiling_bytes = 0}>>;
  tight arena{limited_source<>{2 * MiB}};
  arena.deallocate(arena.allocate(64));
  void* const p = arena.allocate(1 * MiB);
  REQUIRE(arena.source().free_bytes() < 768 * KiB);  // another mapping of that length, and a little more, is too much
  const std::size_t bytes = 1 * MiB + arena.source().free_bytes() + 128 * KiB;
  void* const q = arena.try_reallocate(p, bytes);
  CHECK(q != nullptr);
  CHECK(arena.usable_size(q) >= bytes);
  arena.deallocate(q);
  CHECK(arena.check());
}

TEST_CASE("stocked_arena: a slot that nobody has had is not freed quickly", "[stocked]") {
  cached_arena arena;
  void* const live = arena.allocate(64);
  arena.flush();
  auto* const slab = reinterpret_cast<std::byte*>(detail::align_down(detail::address_of(live), detail::page_bytes));
  for (std::size_t n = 0; n < detail::page_bytes / 64; ++n) {
    if (slab + 64 * n != live) CHECK_FALSE(arena.try_deallocate_quickly(slab + 64 * n));
  }
  CHECK(arena.try_deallocate_quickly(live));
}

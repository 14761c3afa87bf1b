// SPDX-License-Identifier: BSL-1.0
// Lanes: threads that keep slots in stock get them from slabs of their own.
#include <miniheap/thread_cache.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <thread>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

using arena_in_lanes = miniheap_arena<counting_source<>>;
constexpr std::uint32_t lanes = 4;
constexpr std::uint32_t c48 = size_class(48);

template <class Arena>
std::vector<void*> allocate(Arena& arena, std::uint32_t c, std::uint32_t want, std::uint32_t lane) {
  std::vector<void*> all(want);
  for (std::uint32_t got = 0; got < want;) got += arena.allocate_batch(c, &all[got], want - got, lane);
  return all;
}

template <class Arena>
void deallocate(Arena& arena, std::uint32_t c, const std::vector<void*>& all) {
  arena.deallocate_batch(c, all.data(), static_cast<std::uint32_t>(all.size()));
}

std::set<std::uintptr_t> pages_of(const std::vector<void*>& all) {
  std::set<std::uintptr_t> pages;
  for (const void* p : all) pages.insert(align_down(address_of(p), page_bytes));
  return pages;
}

std::size_t pages_in_common(const std::vector<void*>& a, const std::vector<void*>& b) {
  const auto of_a = pages_of(a);
  const auto of_b = pages_of(b);
  return static_cast<std::size_t>(
      std::count_if(of_a.begin(), of_a.end(), [&](std::uintptr_t page) { return of_b.contains(page); }));
}

template <class Arena>
void require_valid(const Arena& arena) {
  const check_result result = arena.check();
  INFO((result ? "" : result.broken));
  REQUIRE(result);
}

}  // namespace

TEST_CASE("lanes: what different lanes replace at random never lies on one page", "[lanes]") {
  arena_in_lanes arena;
  random_numbers random{11};
  std::array<std::vector<void*>, lanes> live;
  for (int round = 0; round < 4000; ++round) {
    const auto lane = static_cast<std::uint32_t>(round) % lanes;
    std::vector<void*>& mine = live[lane];
    if (mine.size() >= 600) {
      for (std::size_t n = 0; n < 32; ++n) std::swap(mine[n], mine[n + random.below(mine.size() - n)]);
      deallocate(arena, c48, {mine.begin(), mine.begin() + 32});
      mine.erase(mine.begin(), mine.begin() + 32);
    }
    const auto more = allocate(arena, c48, 32, lane);
    mine.insert(mine.end(), more.begin(), more.end());
  }
  require_valid(arena);
  for (std::uint32_t a = 0; a < lanes; ++a) {
    for (std::uint32_t b = 0; b < a; ++b) CHECK(pages_in_common(live[a], live[b]) == 0);
  }
  CHECK(arena.stats().free_slot_bytes * 2 < arena.stats().live_bytes);
  for (const auto& mine : live) deallocate(arena, c48, mine);
  require_valid(arena);
}

TEST_CASE("lanes: where many pages have free slots, each lane fills them up", "[lanes]") {
  arena_in_lanes arena;
  auto all = allocate(arena, c48, 20000, 0);
  std::vector<void*> kept;
  std::vector<void*> gone;
  for (std::size_t n = 0; n < all.size(); ++n) (n % 4 == 0 ? kept : gone).push_back(all[n]);
  deallocate(arena, c48, gone);
  const std::size_t mapped_bytes = arena.mapped_bytes();
  const auto others = allocate(arena, c48, 10000, 1);
  CHECK(arena.mapped_bytes() == mapped_bytes);
  CHECK(pages_in_common(kept, others) * 10 > pages_of(others).size() * 9);
  require_valid(arena);
}

TEST_CASE("lanes: a slab of another lane is taken before a miniheap is mapped", "[lanes]") {
  miniheap_arena<counting_source<>, coarse_lock<>, first_fit, fullest_first,
                 arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}>
      arena;
  auto all = allocate(arena, c48, 1, 0);
  while (arena.stats().clean_page_bytes + arena.stats().dirty_page_bytes != 0) {
    all.push_back(allocate(arena, c48, 1, 0).front());
  }
  REQUIRE(arena.stats().miniheaps == 1);
  const auto slots = shapes[c48].slots;
  deallocate(arena, c48, {all.begin(), all.begin() + 10});
  CHECK(pages_in_common(all, allocate(arena, c48, 5, 1)) == 1);
  CHECK(arena.stats().miniheaps == 1);
  allocate(arena, c48, slots, 1);
  CHECK(arena.stats().miniheaps == 2);
  require_valid(arena);
}

TEST_CASE("lanes: a parked slot is for its own lane", "[lanes]") {
  arena_in_lanes arena;
  const std::uint32_t slots = shapes[c48].slots;
  const auto all = allocate(arena, c48, 2 * slots, 1);
  deallocate(arena, c48, {all[0]});
  CHECK(allocate(arena, c48, 1, 2).front() != all[0]);
  CHECK(allocate(arena, c48, 1, 1).front() == all[0]);
  require_valid(arena);
}

TEST_CASE("lanes: there are four, and one where one thread at a time uses an arena", "[lanes]") {
  arena_in_lanes arena;
  const auto first = allocate(arena, c48, 4, 0);
  CHECK(pages_in_common(first, allocate(arena, c48, 4, lanes)) == 1);
  CHECK(pages_in_common(first, allocate(arena, c48, 4, 3)) == 0);
  miniheap_arena<counting_source<>, no_lock> alone;
  CHECK(pages_in_common(allocate(alone, c48, 4, 0), allocate(alone, c48, 4, 1)) == 1);
  CHECK(sizeof alone < sizeof arena);
}

TEST_CASE("lanes: free slots of another lane's active slab are there where there is no other memory", "[lanes]") {
  constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0};
  miniheap_arena<limited_source<>, coarse_lock<>, first_fit, fullest_first, tiny> arena{limited_source<>{64 * KiB}};
  const std::uint32_t c16 = size_class(16);
  std::size_t live = 0;
  for (std::uint32_t lane = 0; lane < lanes; ++lane) live += allocate(arena, c16, 1, lane).size();
  for (; arena.try_allocate(16) != nullptr; ++live) {
  }
  CHECK(live == geometry<64 * KiB>::usable_pages * shapes[c16].slots);
  CHECK(arena.stats().free_slot_bytes == 0);
  require_valid(arena);
}

TEST_CASE("lanes: trim reaches what is active, in each lane", "[lanes]") {
  arena_in_lanes arena;
  void* const kept = arena.allocate(100);
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    for (std::uint32_t lane = 0; lane < lanes; ++lane) deallocate(arena, c, allocate(arena, c, 1, lane));
  }
  require_valid(arena);
  arena.trim();
  CHECK(arena.stats().free_slot_bytes < page_bytes);
  CHECK(arena.stats().resident_estimate() < 100 * KiB);
  arena.deallocate(kept);
  arena.trim();
  CHECK(arena.mapped_bytes() == 0);
}

TEST_CASE("lanes: idle slabs of several lanes keep no miniheap", "[lanes]") {
  miniheap_arena<counting_source<>, coarse_lock<>, first_fit, fullest_first,
                 arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}>
      arena;
  random_numbers random{5};
  for (int round = 0; round < 300; ++round) {
    std::array<std::vector<void*>, lanes> live;
    const std::uint32_t c = static_cast<std::uint32_t>(random.below(size_classes));
    for (std::uint32_t lane = 0; lane < lanes; ++lane) {
      live[lane] = allocate(arena, c, 1 + static_cast<std::uint32_t>(random.below(40u)), lane);
    }
    if (round % 10 == 0) require_valid(arena);
    for (const auto& mine : live) deallocate(arena, c, mine);
    CHECK(arena.stats().miniheaps == 0);
  }
}

TEST_CASE("lanes: threads that come one after the other share one, which is no living thread's", "[lanes]") {
  thread_cached<miniheap_arena<counting_source<>>> arena;
  std::vector<void*> kept{arena.allocate(48)};
  for (int n = 0; n < 12; ++n) {
    std::thread{[&] { kept.push_back(arena.allocate(48)); }}.join();
  }
  CHECK(pages_of(kept).size() == 2);
  CHECK(pages_of({kept.begin() + 1, kept.end()}).size() == 1);
}

TEST_CASE("lanes: check notices an active slab of another lane", "[lanes][check]") {
  alignas(64) page_entry slab[1] = {};
  alignas(page_bytes) static std::byte memory[page_bytes];
  slab->pages = shapes[c48].pages;
  make_slab(slab, c48);
  active_slabs<2> all;
  CHECK(all.check());
  slab->lane = 1;
  all.of(1, c48).activate(*slab, memory);
  CHECK(all.check());
  CHECK(all.count() == 1);
  slab->lane = 0;
  CHECK(!all.check());
  slab->lane = 1;
  slab->free[0] = 1;  // and claimed
  CHECK(!all.check());
  all.clear();
  CHECK(all.check());
}

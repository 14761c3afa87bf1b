// SPDX-License-Identifier: BSL-1.0
// What the README promises, each as a program would notice it.
#include <miniheap/arena.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

using namespace miniheap;

namespace {

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0};
constexpr arena_config tiny_with_reserve{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 192 * KiB};

template <class Selection, arena_config Config = tiny>
using arena_of = miniheap_arena<counting_source<>, no_lock, first_fit, Selection, Config>;

/// Allocates `count` times `bytes` bytes and leaves one in `one_in` alive, at random.
template <class Arena>
std::vector<void*> thin_out(Arena& arena, int count, std::size_t bytes, std::uint64_t one_in) {
  random_numbers random{99};
  std::vector<void*> all;
  std::vector<void*> left;
  for (int n = 0; n < count; ++n) all.push_back(arena.allocate(bytes));
  for (void* const p : all) random.one_in(one_in) ? left.push_back(p) : arena.deallocate(p);
  return left;
}

template <class Arena>
std::size_t miniheaps_after_churn(int turnovers) {
  Arena arena;
  random_numbers random{4};
  std::vector<void*> live;
  for (int n = 0; n < 20000; ++n) live.push_back(arena.allocate(100));
  for (int n = 0; n < 12000; ++n) {  // from full to 40 %
    std::swap(live[random.below(live.size())], live.back());
    arena.deallocate(live.back());
    live.pop_back();
  }
  for (int n = 0; n < turnovers * 8000; ++n) {
    void*& one = live[random.below(live.size())];
    arena.deallocate(one);
    one = arena.allocate(100);
  }
  REQUIRE(arena.check());
  return arena.stats().miniheaps;
}

}  // namespace

TEMPLATE_TEST_CASE("promise: without allocations no more than the reserves are mapped", "[promise]", fullest_first,
                   lowest_address_first, emptiest_first, newest_first) {
  const auto verify = [](auto& arena) {
    random_numbers random{8};
    std::vector<void*> live;
    for (int round = 0; round < 6; ++round) {
      for (int n = 0; n < 1500; ++n) live.push_back(arena.allocate(random.below(random.one_in(20) ? 50000u : 900u)));
      for (std::size_t n = live.size(); n > 1; --n) std::swap(live[n - 1], live[random.below(n)]);
      while (!live.empty()) {
        arena.deallocate(live.back());
        live.pop_back();
      }
      const arena_stats s = arena.stats();
      REQUIRE(s.miniheaps * 64 * KiB <= arena.config.reserve_ceiling_bytes);
      const std::size_t idle_mapping_bytes = s.mapped_bytes - s.miniheaps * 64 * KiB - s.metadata_bytes;
      REQUIRE(idle_mapping_bytes <= arena.config.reserve_ceiling_bytes);
      REQUIRE(s.mapped_bytes == arena.source().counts().mapped_bytes);
    }
    arena.trim();
    REQUIRE(arena.stats().miniheaps == 0);
  };
  arena_of<TestType, tiny> without;
  verify(without);
  arena_of<TestType, tiny_with_reserve> with;
  verify(with);
}

TEST_CASE("promise: a capped arena refuses, and recovers", "[promise]") {
  using capped = miniheap_arena<limited_source<>, no_lock, first_fit, fullest_first, tiny_with_reserve>;
  const std::size_t limit_bytes = 1 * MiB;
  capped arena{limited_source<>{limit_bytes}};
  for (const std::size_t bytes : {40u, 3000u, 20000u, 100000u}) {
    for (int round = 0; round < 3; ++round) {
      std::vector<void*> all;
      while (void* const p = arena.try_allocate(bytes)) all.push_back(p);
      CHECK(arena.stats().mapped_bytes <= limit_bytes);
      CHECK(arena.stats().live_bytes > limit_bytes / 2);
      CHECK_THROWS_AS(arena.allocate(bytes), std::bad_alloc);
      arena.deallocate(all.back());
      all.back() = arena.try_allocate(bytes);
      CHECK(all.back() != nullptr);
      for (void* const p : all) arena.deallocate(p);
      REQUIRE(arena.check());
    }
  }
}

TEST_CASE("promise: memory kept for reuse is not missing elsewhere", "[promise]") {
  using capped = miniheap_arena<limited_source<>, no_lock, first_fit, fullest_first, tiny_with_reserve>;
  for (const std::size_t before : {100u, 10000u, 100000u}) {
    capped arena{limited_source<>{320 * KiB}};
    arena.deallocate(arena.allocate(before));
    void* const p = arena.try_allocate(250 * KiB);
    CHECK(p != nullptr);
    CHECK(arena.check());
  }
}

TEST_CASE("promise: a miniheap that has room is found when there can be no other", "[promise]") {
  // The longest free spans are of one length class, and only one of many is long enough.
  constexpr arena_config config{.miniheap_bytes = 256 * KiB, .reserve_ceiling_bytes = 0};
  miniheap_arena<limited_source<>, no_lock, first_fit, fullest_first, config> arena{
      limited_source<>{12 * 256 * KiB + 64 * KiB}};
  std::vector<void*> gaps;
  for (int n = 0; n < 12; ++n) {  // of 63 pages: a gap, and the rest
    const std::size_t gap_pages = n == 0 ? 17 : 16;
    gaps.push_back(arena.allocate(gap_pages * 4096));
    REQUIRE(arena.try_allocate(31 * 4096) != nullptr);
    REQUIRE(arena.try_allocate((63 - 31 - gap_pages) * 4096) != nullptr);
  }
  for (void* const p : gaps) arena.deallocate(p);
  REQUIRE(arena.stats().miniheaps == 12);
  CHECK(arena.try_allocate(17 * 4096) == gaps.front());
  CHECK(arena.try_allocate(17 * 4096) == nullptr);
}

TEMPLATE_TEST_CASE("promise: rounds of reallocation make sparse miniheaps go, and come to rest", "[promise][float]",
                   no_lock, fine_grained_lock) {
  miniheap_arena<counting_source<>, TestType, first_fit, fullest_first, tiny> arena;
  std::vector<void*> live = thin_out(arena, 40000, 100, 60);
  const std::size_t miniheaps_before = arena.stats().miniheaps;
  for (std::size_t n = 0; n < live.size(); ++n) std::memcpy(live[n], &n, sizeof n);
  int rounds = 0;
  for (std::size_t moved = 1; moved != 0; ++rounds) {
    REQUIRE(rounds < 20);
    moved = 0;
    for (void*& p : live) {
      void* const q = arena.reallocate(p, 100);
      moved += q != p ? 1 : 0;
      p = q;
    }
  }
  CHECK(rounds > 1);
  for (std::size_t n = 0; n < live.size(); ++n) CHECK(std::memcmp(live[n], &n, sizeof n) == 0);
  CHECK(std::set<void*>(live.begin(), live.end()).size() == live.size());
  CHECK(arena.check());
  CHECK(miniheaps_before > 20);
  INFO(miniheaps_before << " miniheaps, then " << arena.stats().miniheaps);
  CHECK(arena.stats().miniheaps < miniheaps_before / 4);
  if (std::is_same_v<TestType, no_lock>) CHECK(arena.stats().free_slot_bytes < 40 * 1024);  // slabs are full, but some
}

TEST_CASE("promise: nothing floats where floating is off, or what is too large for it", "[promise][float]") {
  constexpr arena_config off{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0, .float_limit_bytes = 0};
  constexpr arena_config to_64{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0, .float_limit_bytes = 64};
  const auto moved = [](auto& arena, std::size_t bytes) {
    std::ptrdiff_t count = 0;
    for (void* const p : thin_out(arena, 40000, bytes, 60)) count += arena.reallocate(p, bytes) != p ? 1 : 0;
    return count;
  };
  arena_of<fullest_first, off> never;
  CHECK(moved(never, 100) == 0);
  CHECK(moved(never, 0) == 0);
  arena_of<fullest_first, to_64> some;
  CHECK(moved(some, 65) == 0);
  CHECK(moved(some, 64) > 0);
}

TEMPLATE_TEST_CASE("promise: nothing floats for less gain than is asked for", "[promise][float]", no_lock,
                   fine_grained_lock) {
  constexpr arena_config never{.miniheap_bytes = 64 * KiB,
                               .reserve_ceiling_bytes = 0,
                               .float_gain_levels = occupancy_levels + 1,
                               .float_gain_slots = 256};
  miniheap_arena<counting_source<>, TestType, first_fit, fullest_first, never> arena;
  for (void* const p : thin_out(arena, 40000, 100, 60)) CHECK(arena.reallocate(p, 100) == p);
}

TEST_CASE("promise: allocations float to a fuller slab of the same miniheap", "[promise][float]") {
  arena_of<fullest_first> arena;
  constexpr std::size_t slots = 36;  // of 112 bytes, in a page
  std::vector<void*> all;
  for (std::size_t n = 0; n < 4 * slots; ++n) all.push_back(arena.allocate(100));
  for (std::size_t n = slots + 2; n < 2 * slots; ++n) arena.deallocate(all[n]);
  for (std::size_t n = slots - 6; n < slots; ++n) arena.deallocate(all[n]);
  const auto page_of = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) / 4096; };
  REQUIRE(page_of(all[slots]) != page_of(all[0]));
  for (const std::size_t n : {slots, slots + 1}) {
    all[n] = arena.reallocate(all[n], 100);
    CHECK(page_of(all[n]) == page_of(all[0]));
  }
  CHECK(arena.reallocate(all[0], 100) == all[0]);
  CHECK(arena.check());
}

TEMPLATE_TEST_CASE("promise: an allocation stays where no better place is had, though there is one", "[promise][float]",
                   no_lock, fine_grained_lock) {
  // A fuller miniheap has room for a slab, but with fine-grained locks a slot comes from a slab that is there.
  miniheap_arena<counting_source<>, TestType, first_fit, fullest_first, tiny> arena;
  static_cast<void>(arena.allocate(8 * 4096));
  void* const seven_pages = arena.allocate(7 * 4096);
  void* p = arena.allocate(100);  // of another miniheap, as this one is full
  arena.deallocate(seven_pages);
  for (int n = 0; n < 2; ++n) static_cast<void>(arena.allocate(3 * 4096));
  REQUIRE(arena.stats().miniheaps == 2);
  bool has_moved = true;
  for (int round = 0; round < 3; ++round) {
    void* const q = arena.reallocate(p, 100);
    has_moved = q != p;
    p = q;
  }
  CHECK_FALSE(has_moved);
}

TEMPLATE_TEST_CASE("promise: allocations float in any order of selection, and never to a sparser miniheap",
                   "[promise][float]", fullest_first, lowest_address_first, newest_first) {
  arena_of<TestType> arena;
  const auto level_of = [&](const void* p) {
    unsigned level = 0;
    arena.walk([&](const miniheap_info& m) {
      const auto offset = static_cast<const std::byte*>(p) - static_cast<const std::byte*>(m.address);
      if (offset >= 0 && offset < 64 * 1024) level = m.level;
    });
    return level;
  };
  std::size_t moved = 0;
  const auto base_of = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) / (64 * KiB); };
  for (void* const p : thin_out(arena, 40000, 100, 60)) {
    const unsigned before = level_of(p);
    void* const q = arena.reallocate(p, 100);
    if (q == p) continue;
    ++moved;
    if (std::is_same_v<TestType, lowest_address_first>) CHECK(base_of(q) <= base_of(p));
    if (std::is_same_v<TestType, fullest_first>)
      CHECK(level_of(q) + 1 >= before);  // it has made the other one less full
  }
  CHECK(moved > 0);
}

TEST_CASE("promise: fullest first empties miniheaps, emptiest first never does", "[promise]") {
  const std::size_t fullest = miniheaps_after_churn<arena_of<fullest_first>>(12);
  const std::size_t lowest = miniheaps_after_churn<arena_of<lowest_address_first>>(12);
  const std::size_t emptiest = miniheaps_after_churn<arena_of<emptiest_first>>(12);
  INFO(fullest << ", " << lowest << ", " << emptiest);
  CHECK(fullest * 4 < emptiest * 3);
  CHECK(lowest * 4 < emptiest * 3);
  CHECK(fullest < 20);  // 8000 slots of 112 bytes fill 14 or 15 miniheaps
}

TEST_CASE("promise: large allocations are remapped, not copied", "[promise]") {
  arena_of<fullest_first> arena;
  void* p = arena.allocate(100 * KiB);
  std::memset(p, 5, 100 * KiB);
  const source_counts before = arena.source().counts();
  std::size_t grown = 0;
  std::size_t shrunk = 0;
  std::size_t last_bytes = 100 * KiB;
  for (const std::size_t bytes : {200 * KiB, 2 * MiB, 36 * KiB, 40 * KiB + 1, 7 * MiB}) {
    p = arena.reallocate(p, bytes);
    ++(bytes > last_bytes ? grown : shrunk);
    last_bytes = bytes;
    CHECK(arena.source().counts().remap_calls == before.remap_calls + grown);
    CHECK(arena.source().counts().unmap_calls == before.unmap_calls + shrunk);
    CHECK(arena.stats().mappings == 1);
    CHECK(arena.stats().live_bytes == (bytes + 4095) / 4096 * 4096);
    for (std::size_t i = 0; i < 36 * KiB; i += 512) REQUIRE(static_cast<char*>(p)[i] == 5);
  }
  CHECK(arena.source().counts().map_calls == before.map_calls);
  CHECK(arena.reallocate(p, 7 * MiB - 1) == p);
  CHECK(arena.source().counts().remap_calls == before.remap_calls + grown);
  arena.deallocate(p);
  CHECK(arena.source().counts().mapped_bytes == arena.stats().metadata_bytes);
}

TEST_CASE("promise: trim gives the reserve back, and drops what free pages hold", "[promise]") {
  arena_of<fullest_first, tiny_with_reserve> arena;
  std::vector<void*> all;
  for (int n = 0; n < 40; ++n) all.push_back(arena.allocate(12 * KiB));
  for (std::size_t n = 0; n < all.size(); ++n) {
    if (n % 8 != 0) arena.deallocate(all[n]);
  }
  const arena_stats before = arena.stats();
  CHECK(before.reserve_bytes <= 192 * KiB);
  CHECK(before.dirty_page_bytes > 96 * KiB);
  CHECK(arena.trim(96 * KiB) > 0);
  const arena_stats between = arena.stats();
  CHECK(between.reserve_bytes <= 96 * KiB);
  CHECK(between.reserve_bytes > 0);
  CHECK(arena.trim() == between.reserve_bytes);
  const arena_stats after = arena.stats();
  CHECK(after.empty_miniheaps == 0);
  CHECK(after.reserve_bytes == 0);
  CHECK(after.dirty_page_bytes == 0);
  CHECK(after.live_bytes == before.live_bytes);
  CHECK(arena.trim() == 0);  // nothing was freed since
  CHECK(arena.check());
}

TEST_CASE("promise: free pages go back while other pages of their miniheaps are in use", "[promise]") {
  constexpr arena_config floor_only{.reserve_floor_bytes = 256 * KiB, .reserve_ceiling_bytes = 256 * KiB};
  miniheap_arena<counting_source<>, no_lock, first_fit, fullest_first, floor_only> arena;
  std::vector<void*> all;
  for (int n = 0; n < 8000; ++n) all.push_back(std::memset(arena.allocate(3000), 1, 3000));
  random_numbers random{3};
  std::vector<void*> kept;
  for (void* const p : all) {
    if (random.one_in(100)) {
      kept.push_back(p);
    } else {
      arena.deallocate(p);
    }
  }
  const arena_stats s = arena.stats();
  CHECK(s.miniheaps >= 5);  // each is pinned
  CHECK(s.reserve_bytes <= 256 * KiB);
  CHECK(s.resident_estimate() < 4 * MiB);  // of 24
  CHECK(arena.check());
  for (void* const p : kept) {
    const auto* const bytes = static_cast<const unsigned char*>(p);
    CHECK(std::all_of(bytes, bytes + 3000, [](unsigned char byte) { return byte == 1; }));
    arena.deallocate(p);
  }
}

TEST_CASE("promise: overhead of many small objects is small", "[promise]") {
  miniheap_arena<counting_source<>, no_lock> arena;
  for (int n = 0; n < 400000; ++n) REQUIRE(arena.try_allocate(48) != nullptr);
  const arena_stats s = arena.stats();
  CHECK(s.live_bytes == 400000 * 48);
  CHECK(static_cast<double>(s.live_bytes + s.slab_waste_bytes + s.head_bytes + s.metadata_bytes + s.free_slot_bytes) <
        1.06 * static_cast<double>(s.live_bytes));
}

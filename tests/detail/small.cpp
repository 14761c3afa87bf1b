// SPDX-License-Identifier: BSL-1.0
// States of slabs that random operations reach too rarely.
#include <miniheap/detail/small.hpp>

#include "catch.hpp"

#include <miniheap/arena.hpp>

#include <algorithm>
#include <array>

using namespace miniheap;

namespace {

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 1 * MiB};
using tiny_arena = miniheap_arena<counting_source<>, no_lock, first_fit, fullest_first, tiny>;

/// A miniheap of 15 pages without a free one: a full slab of four slots, and two medium allocations.
struct full_miniheap {
  explicit full_miniheap(tiny_arena& a) : arena{a} {
    for (void*& slot : slots) slot = arena.allocate(1024);
    medium[0] = arena.allocate(8 * 4096);
    medium[1] = arena.allocate(6 * 4096);
  }
  void free_medium() {
    for (void* const p : medium) arena.deallocate(p);
  }

  tiny_arena& arena;
  void* slots[4];
  void* medium[2];
};

void require_valid(const tiny_arena& arena) {
  const check_result result = arena.check();
  INFO((result ? "" : result.broken));
  REQUIRE(result);
}

}  // namespace

TEST_CASE("small: a slab with a parked slot leaves with its second free slot, and goes when all are free", "[small]") {
  tiny_arena arena;
  full_miniheap full{arena};
  const full_miniheap active{arena};  // so that the slab of the other one is not the active one
  full.free_medium();
  for (int n = 0; n < 4; ++n) {
    require_valid(arena);
    CHECK(arena.stats().free_slot_bytes == 1024u * static_cast<unsigned>(n));
    CHECK(arena.stats().miniheaps == 2);
    arena.deallocate(full.slots[n]);
  }
  require_valid(arena);
  CHECK(arena.stats().free_slot_bytes == 0);
  CHECK(arena.stats().allocations == 6);
  arena.trim();
  CHECK(arena.stats().miniheaps == 1);
}

TEST_CASE("small: a slot that is freed in a full slab is had before those in bins", "[small]") {
  const bool is_first_binned = GENERATE(true, false);
  tiny_arena arena;
  full_miniheap first{arena};
  full_miniheap second{arena};
  full_miniheap active{arena};
  full_miniheap& binned = is_first_binned ? first : second;
  full_miniheap& full = is_first_binned ? second : first;
  for (int n = 0; n < 2; ++n) arena.deallocate(binned.slots[n]);
  arena.deallocate(full.slots[2]);
  CHECK(arena.stats().free_slot_bytes == 3 * 1024);
  CHECK(arena.usable_size(full.slots[1]) == 1024);
  require_valid(arena);
  CHECK(arena.allocate(1024) == full.slots[2]);
  CHECK(arena.allocate(1024) == binned.slots[0]);
  for (full_miniheap* const all : {&first, &second, &active}) {
    for (void* const p : all->slots) {
      if (p != binned.slots[1]) arena.deallocate(p);
    }
    all->free_medium();
  }
  require_valid(arena);
  CHECK(arena.stats().allocations == 0);
  CHECK(arena.trim() > 0);
  CHECK(arena.stats().miniheaps == 0);
}

TEST_CASE("small: of a batch a few slots are parked, and had again in reverse", "[small]") {
  tiny_arena arena;
  const std::uint32_t c = tiny_arena::stock_class(512, 16);
  constexpr std::uint32_t slots = 8;  // of a slab
  const auto page_of = [](const void* p) { return detail::address_of(p) / 4096; };
  std::array<void*, 11 * slots> all{};
  for (std::uint32_t got = 0; got < all.size();) got += arena.allocate_batch(c, &all[got], 11 * slots - got);
  std::array<void*, 10> freed{};  // one of each slab but the last, the active one
  for (std::uint32_t n = 0; n < 10; ++n) freed[n] = all[n * slots + n % slots];
  arena.deallocate_batch(c, freed.data(), 10);
  require_valid(arena);
  CHECK(arena.stats().free_slot_bytes == 10 * 512);
  SECTION("and then from bins") {
    std::array<void*, 10> again{};
    for (void*& p : again) REQUIRE(arena.allocate_batch(c, &p, 1) == 1);
    for (std::uint32_t n = 0; n < 7; ++n) CHECK(again[n] == freed[6 - n]);
    std::sort(again.begin(), again.end());
    std::sort(freed.begin(), freed.end());
    CHECK(again == freed);
    CHECK(arena.stats().free_slot_bytes == 0);
  }
  SECTION("but not where another of the slab is freed") {
    arena.deallocate_batch(c, &all[4 * slots], 1);
    require_valid(arena);
    void* p = nullptr;
    for (int n = 0; n < 6; ++n) {
      REQUIRE(arena.allocate_batch(c, &p, 1) == 1);
      CHECK(page_of(p) != page_of(freed[4]));
    }
  }
  SECTION("and trimmed with the rest") {
    arena.trim();
    require_valid(arena);
    CHECK(arena.stats().free_slot_bytes == 10 * 512);
  }
}

TEST_CASE("small: where there is no memory a parked slot is taken in any order, before the reserve goes", "[small]") {
  constexpr arena_config random{.miniheap_bytes = 128 * KiB,
                                .large_threshold_bytes = 16 * KiB,
                                .reserve_ceiling_bytes = 1 * MiB,
                                .checks = detail::beneath_hardened,
                                .guard_every_pages = 0};
  miniheap_arena<limited_source<>, no_lock, first_fit, fullest_first, random> arena{limited_source<>{220 * KiB}};
  void* slot = nullptr;
  while (void* const p = arena.try_allocate(1024)) slot = p;
  arena.deallocate(arena.allocate(24 * KiB));  // idle
  const std::size_t mapped_bytes = arena.mapped_bytes();
  for (int n = 0; n < 40; ++n) {
    arena.deallocate(slot);
    REQUIRE(arena.try_allocate(1024) == slot);
    REQUIRE(arena.mapped_bytes() == mapped_bytes);
  }
  CHECK(arena.check());
}

TEST_CASE("small: what floats goes to the active slab, and not where a slot is parked", "[small]") {
  tiny_arena arena;
  const auto fill_up = [&] {  // but for the page of a slab
    return std::array{arena.allocate(8 * 4096), arena.allocate(6 * 4096)};
  };
  const auto page_of = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) / 4096; };
  void* sparse[85];  // slots of 48 bytes, a slab of them
  for (void*& p : sparse) p = arena.allocate(48);
  const auto medium = fill_up();
  void* dense[64];  // as many as are claimed at once
  for (void*& p : dense) p = arena.allocate(48);
  fill_up();
  REQUIRE(arena.stats().miniheaps == 2);
  for (void* const p : medium) arena.deallocate(p);
  arena.deallocate(sparse[1]);  // is parked
  CHECK(page_of(arena.reallocate(sparse[0], 48)) == page_of(dense[0]));
  CHECK(arena.allocate(48) != sparse[1]);
  require_valid(arena);
}

TEMPLATE_TEST_CASE("small: an allocation floats to a fuller miniheap, but not against the order of selection",
                   "[small]", no_lock, fine_grained_lock) {
  const auto floats = [](auto& arena) {
    const auto allocate_slab = [&](void*(&slots)[4]) {
      for (void*& slot : slots) slot = arena.allocate(1024);
    };
    void* first[4];
    allocate_slab(first);
    for (const std::size_t pages : {8u, 6u}) static_cast<void>(arena.allocate(pages * 4096));  // no page is free
    void* second[4];
    allocate_slab(second);
    void* const medium[] = {arena.allocate(8 * 4096), arena.allocate(6 * 4096)};
    REQUIRE(arena.stats().miniheaps == 2);
    for (int n = 0; n < 2; ++n) arena.deallocate(first[n]);
    for (int n = 0; n < 2; ++n) first[n] = arena.allocate(1024);  // so slots are handed out from there
    arena.deallocate(first[1]);
    for (void* const p : medium) arena.deallocate(p);
    void* const q = arena.reallocate(second[0], 1024);
    CHECK((q == second[0] || q == first[1]));
    CHECK(arena.check());
    return q != second[0];
  };
  miniheap_arena<counting_source<>, TestType, first_fit, fullest_first, tiny> fullest;
  CHECK(floats(fullest));
  miniheap_arena<counting_source<>, TestType, first_fit, newest_first, tiny> newest;
  CHECK_FALSE(floats(newest));
}

TEMPLATE_TEST_CASE("small: check notices a free slot of a full slab that is not parked", "[small][check]", no_lock,
                   fine_grained_lock) {
  miniheap_arena<counting_source<>, TestType, first_fit, fullest_first, tiny> arena;
  void* slots[5];  // four make a slab
  for (void*& slot : slots) slot = arena.allocate(1024);
  using shape = detail::geometry<64 * KiB, 0>;
  const std::uintptr_t address = detail::address_of(slots[0]);
  detail::page_entry& slab = shape::map_of(address)[shape::page_at(shape::offset_of(address))];
  REQUIRE(arena.check());
  slab.free[0] |= 0b10;
  CHECK(!arena.check());
  slab.free[0] = 0;
  CHECK(arena.check());
}

TEST_CASE("small: a slab is carved in a fuller miniheap before a slot is taken in a sparser one", "[small]") {
  miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, arena_config{.miniheap_bytes = 64 * KiB}> arena;
  const auto miniheap_of = [](const void* p) { return detail::align_down(detail::address_of(p), 64 * KiB); };
  static_cast<void>(arena.allocate(8 * 4096));
  void* const pages = arena.allocate(7 * 4096);  // so all of a miniheap is used
  void* slots[8];                                // four make a slab
  for (void*& p : slots) p = arena.allocate(1024);
  REQUIRE(miniheap_of(slots[7]) != miniheap_of(pages));
  arena.deallocate(slots[0]);  // is parked
  arena.deallocate(slots[1]);  // brings the slab of both into its bin
  REQUIRE(arena.reallocate(pages, 6 * 4096) == pages);
  CHECK(miniheap_of(arena.allocate(1024)) == miniheap_of(pages));
  CHECK(arena.check());
}

// SPDX-License-Identifier: BSL-1.0
// Pages of slabs that no used slot lies on, as an arena counts them, gives them back and takes them again.
#include <miniheap/detail/counted_bins.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/arena.hpp>

#include <cstring>
#include <vector>

using namespace miniheap;

namespace {

constexpr std::size_t page = 4096;
constexpr arena_config nothing_in_reserve{.reserve_floor_bytes = 0, .reserve_ceiling_bytes = 0};
constexpr arena_config all_in_reserve{.reserve_floor_bytes = 64 * MiB, .reserve_ceiling_bytes = 64 * MiB};

template <arena_config Config, class Locks = no_lock>
using arena_of = miniheap_arena<counting_source<>, Locks, first_fit, fullest_first, Config>;

template <class Arena>
arena_stats valid_stats(const Arena& arena) {
  const check_result result = arena.check();
  INFO((result ? "" : result.broken));
  REQUIRE(result);
  const arena_stats s = arena.stats();
  REQUIRE(s.mapped_bytes == s.live_bytes + s.free_slot_bytes + s.slab_waste_bytes + s.dirty_page_bytes +
                                s.clean_page_bytes + s.head_bytes + s.metadata_bytes);
  return s;
}

/// Counts what it is asked to populate.
struct hinted_source : mmap_source {
  std::size_t populated_bytes = 0;
  void populate(void*, std::size_t bytes) noexcept { populated_bytes += bytes; }
  void prefer_huge_pages(void*, std::size_t) noexcept {}
  void prefer_small_pages(void*, std::size_t) noexcept {}
};

/// Two slabs of four slots of 8 KiB, all used and written to, of which the second is the active one.
template <class Arena>
std::vector<unsigned char*> two_slabs(Arena& arena) {
  std::vector<unsigned char*> slots;
  for (unsigned char n = 0; n < 8; ++n) {
    slots.push_back(static_cast<unsigned char*>(arena.allocate(8192)));
    std::memset(slots.back(), n + 1, 8192);
  }
  return slots;
}

}  // namespace

TEST_CASE("counted_bins: unused pages of a slab go back while it has a used slot", "[counted]") {
  arena_of<nothing_in_reserve> arena;
  const auto slots = two_slabs(arena);
  const arena_stats before = valid_stats(arena);
  arena.deallocate(slots[0]);  // is parked
  CHECK(valid_stats(arena).free_slot_bytes == before.free_slot_bytes + 2 * page);
  arena.deallocate(slots[1]);
  arena.deallocate(slots[2]);
  const arena_stats after = valid_stats(arena);
  CHECK(after.clean_page_bytes == before.clean_page_bytes + 6 * page);
  CHECK(after.dirty_page_bytes == 0);
  CHECK(after.reserve_bytes == 0);
  CHECK(after.free_slot_bytes == before.free_slot_bytes);
  CHECK(slots[3][0] == 4);
  CHECK(slots[3][8191] == 4);
  SECTION("and are there again when they are used") {
    for (int n = 0; n < 3; ++n) std::memset(arena.allocate(8192), 9, 8192);
    CHECK(valid_stats(arena).resident_estimate() == before.resident_estimate());
    CHECK(arena.stats().miniheaps == 1);
    CHECK(slots[3][0] == 4);
  }
  SECTION("and stay clean when the slab becomes a free span") {
    arena.deallocate(slots[3]);
    CHECK(valid_stats(arena).clean_page_bytes == before.clean_page_bytes + 8 * page);
    CHECK(arena.allocate(8 * page) == slots[0]);
    CHECK(valid_stats(arena).clean_page_bytes == before.clean_page_bytes);
  }
}

TEST_CASE("counted_bins: unused pages of a slab are part of the reserve", "[counted]") {
  arena_of<all_in_reserve> arena;
  const auto slots = two_slabs(arena);
  const arena_stats before = valid_stats(arena);
  for (const std::size_t n : {0u, 1u, 2u}) arena.deallocate(slots[n]);
  const arena_stats kept = valid_stats(arena);
  CHECK(kept.reserve_bytes == before.reserve_bytes + 6 * page);
  CHECK(kept.dirty_page_bytes == before.dirty_page_bytes + 6 * page);
  CHECK(kept.resident_estimate() == before.resident_estimate());
  CHECK(arena.trim() >= 6 * page);
  const arena_stats trimmed = valid_stats(arena);
  CHECK(trimmed.reserve_bytes == 0);
  CHECK(trimmed.live_bytes == 5 * 8192);
  CHECK(trimmed.resident_estimate() <= before.resident_estimate() - 6 * page);
  for (const std::size_t n : {3u, 4u, 5u, 6u, 7u}) {
    CHECK(slots[n][0] == n + 1);
    CHECK(slots[n][8191] == n + 1);
  }
}

TEST_CASE("counted_bins: what was given back and is wanted again is regretted", "[counted]") {
  constexpr arena_config adapting{.reserve_floor_bytes = 16 * KiB, .reserve_ceiling_bytes = 4 * MiB};
  arena_of<adapting> arena;
  std::vector<void*> all;
  for (int n = 0; n < 400; ++n) all.push_back(arena.allocate(7000));
  const std::size_t before = arena.stats().reserve_limit_bytes;
  for (int round = 0; round < 4; ++round) {
    for (std::size_t n = 0; n < all.size(); ++n) {
      if (n % 4 != 0) arena.deallocate(all[n]);
    }
    valid_stats(arena);
    for (std::size_t n = 0; n < all.size(); ++n) {
      if (n % 4 != 0) all[n] = arena.allocate(7000);
    }
    valid_stats(arena);
  }
  CHECK(arena.stats().miniheaps == 1);  // nothing but slabs was used again
  CHECK(arena.stats().reserve_limit_bytes > before + 512 * KiB);
}

TEST_CASE("counted_bins: what was given back is populated in one call", "[counted]") {
  miniheap_arena<hinted_source, no_lock, first_fit, fullest_first, nothing_in_reserve> arena;
  const auto slots = two_slabs(arena);
  for (const std::size_t n : {0u, 1u, 2u}) arena.deallocate(slots[n]);
  const std::size_t before_bytes = arena.source().populated_bytes;
  CHECK(arena.allocate(8192) == slots[0]);
  CHECK(arena.source().populated_bytes == before_bytes + 8 * page);
  CHECK(arena.allocate(8192) == slots[1]);
  CHECK(arena.allocate(8192) == slots[2]);
  CHECK(arena.source().populated_bytes == before_bytes + 8 * page);
}

TEST_CASE("counted_bins: unused pages are not in use", "[counted]") {
  arena_of<all_in_reserve> arena;
  std::vector<void*> all;
  for (int n = 0; n < 400; ++n) all.push_back(arena.allocate(8192));
  const std::size_t before_bytes = arena.recent_in_use_bytes();
  for (std::size_t n = 0; n < all.size(); ++n) {
    if (n % 4 != 0) arena.deallocate(all[n]);
  }
  CHECK(arena.recent_in_use_bytes() < before_bytes / 2);
}

TEST_CASE("counted_bins: any sizes in any order, with nothing in reserve", "[counted]") {
  constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_floor_bytes = 0, .reserve_ceiling_bytes = 0};
  arena_of<tiny> arena;
  random_numbers random{17};
  struct object {
    unsigned char* bytes;
    std::size_t size;
    unsigned char mark;
  };
  std::vector<object> live;
  for (int n = 0; n < 20'000; ++n) {
    if (live.empty() || random.below(200u) >= live.size()) {
      const std::size_t size = 1025 + random.below(8192u - 1024u);
      const auto mark = static_cast<unsigned char>(n);
      live.push_back({static_cast<unsigned char*>(arena.allocate(size)), size, mark});
      std::memset(live.back().bytes, mark, size);
    } else {
      std::swap(live[random.below(live.size())], live.back());
      const object o = live.back();
      REQUIRE(o.bytes[0] == o.mark);
      REQUIRE(o.bytes[o.size / 2] == o.mark);
      REQUIRE(o.bytes[o.size - 1] == o.mark);
      arena.deallocate(o.bytes);
      live.pop_back();
      REQUIRE(arena.stats().reserve_bytes == 0);
    }
    if (n % 50 == 0) valid_stats(arena);
  }
  for (const object& o : live) arena.deallocate(o.bytes);
  valid_stats(arena);
  arena.trim();
  CHECK(valid_stats(arena).miniheaps == 0);
}

TEST_CASE("counted_bins: locks of miniheaps leave slabs uncounted", "[counted]") {
  arena_of<nothing_in_reserve, fine_grained_lock> arena;
  const auto slots = two_slabs(arena);
  const arena_stats before = valid_stats(arena);
  for (const std::size_t n : {0u, 1u, 2u}) arena.deallocate(slots[n]);
  const arena_stats after = valid_stats(arena);
  CHECK(after.free_slot_bytes == before.free_slot_bytes + 3 * 8192);
  CHECK(after.clean_page_bytes == before.clean_page_bytes);
}

TEST_CASE("counted_bins: check notices a slab that does not know its unused pages", "[counted][check]") {
  using store_type =
      detail::miniheap_store<mmap_source, first_fit, fullest_first, arena_config{.miniheap_bytes = 64 * KiB}>;
  const std::uint32_t c = detail::size_class(8192);
  detail::page_entry slab[detail::max_slab_pages] = {};
  slab->pages = detail::shapes[c].pages;
  detail::make_slab(slab, c);
  slab->free[0] &= ~std::uint64_t{1};
  slab->used = 1;
  CHECK(detail::counted_bins<store_type>::check(*slab) != nullptr);  // it is in a bin
  slab->used |= detail::counted_mark;
  CHECK(detail::counted_bins<store_type>::check(*slab) != nullptr);
  slab->unused = detail::unused_pages(*slab);
  CHECK(detail::counted_bins<store_type>::check(*slab) == nullptr);
  slab->used = static_cast<std::uint16_t>(slab->slots | detail::counted_mark);
  CHECK(detail::counted_bins<store_type>::check(*slab) != nullptr);  // it is full
}

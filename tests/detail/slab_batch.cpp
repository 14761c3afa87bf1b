// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/slab_batch.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/arena.hpp>

#include <algorithm>
#include <set>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0};
using tiny_arena = miniheap_arena<counting_source<>, no_lock, first_fit, fullest_first, tiny>;
using shape = geometry<tiny.miniheap_bytes>;

void require_valid(const tiny_arena& arena) {
  const check_result result = arena.check();
  INFO((result ? "" : result.broken));
  REQUIRE(result);
}

/// Slots of size class `c`, in the order of their addresses.
std::vector<void*> allocate(tiny_arena& arena, std::uint32_t c, std::uint32_t want) {
  std::vector<void*> all(want);
  for (std::uint32_t got = 0; got < want;) got += arena.allocate_batch(c, &all[got], want - got);
  return all;
}

page_entry& slab_of(const void* p) {
  page_entry& entry = shape::map_of(address_of(p))[shape::page_at(shape::offset_of(address_of(p)))];
  return *(&entry - entry.back);
}

enum class order { same, reverse, none };

}  // namespace

TEST_CASE("slab_batch: neighbours are freed together until the slab would need more", "[slab_batch]") {
  tiny_arena arena;
  const arena_identity identity{"batch", &arena};
  const std::uint32_t c = size_class(48);
  const std::uint32_t slots = shapes[c].slots;
  const auto all = allocate(arena, c, 3 * slots);
  page_entry& slab = slab_of(all[0]);
  REQUIRE(&slab == &slab_of(all[slots - 1]));
  const auto together = [&](std::uint32_t first, std::uint32_t count) {
    return free_together<true, shape>(slab, c, &all[first], count, identity);
  };
  CHECK(together(0, 10) == 0);  // the slab is full
  arena.deallocate(all[0]);     // is parked
  arena.deallocate(all[1]);
  CHECK(slab.used == slots - 2);
  CHECK(together(2, 10) == 10);
  CHECK(slab.used == slots - 12);
  require_valid(arena);
  CHECK(together(slots - 3, 10) == 3);  // those behind lie in another slab
  CHECK(together(12, slots) == slots - 16);
  CHECK(slab.used == 1);
  CHECK(together(slots - 4, 1) == 0);
  require_valid(arena);
  arena.deallocate(all[slots - 4]);
  for (std::uint32_t n = slots; n < 3 * slots; ++n) arena.deallocate(all[n]);
  CHECK(arena.stats().miniheaps == 0);
}

TEST_CASE("slab_batch: where unused pages are counted each is freed by itself", "[slab_batch]") {
  tiny_arena arena;
  const arena_identity identity{"pages", &arena};
  const std::uint32_t c = size_class(1280);
  const std::uint32_t slots = shapes[c].slots;
  REQUIRE(shapes[c].pages > 1);
  const auto all = allocate(arena, c, slots + 1);
  page_entry& slab = slab_of(all[0]);
  arena.deallocate(all[0]);  // is parked
  arena.deallocate(all[1]);
  CHECK(free_together<true, shape>(slab, c, &all[2], slots - 2, identity) == 0);
  arena.deallocate_batch(c, &all[2], slots - 3);
  CHECK(used_slots(slab) == 1);
  require_valid(arena);
  arena.deallocate(all[slots - 1]);
  arena.deallocate(all[slots]);
  CHECK(arena.stats().miniheaps == 0);
}

TEST_CASE("slab_batch: batches of any size, in any order, free what they name and no more", "[slab_batch]") {
  random_numbers random{5};
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    for (const order by : {order::same, order::reverse, order::none}) {
      INFO("size class " << c << ", order " << static_cast<int>(by));
      tiny_arena arena;
      const std::uint32_t count = 5u * shapes[c].slots + 1;
      auto all = allocate(arena, c, count);
      REQUIRE(std::set<void*>(all.begin(), all.end()).size() == count);
      if (by == order::reverse) std::reverse(all.begin(), all.end());
      for (std::size_t n = all.size(); by == order::none && n > 1; --n) std::swap(all[n - 1], all[random.below(n)]);
      for (std::uint32_t done = 0; done < count;) {
        const std::uint32_t some = std::min(1 + random.below(40u), count - done);
        arena.deallocate_batch(c, &all[done], some);
        done += some;
        require_valid(arena);
        REQUIRE(arena.stats().allocations == count - done);
      }
      CHECK(arena.stats().miniheaps == 0);
    }
  }
}

TEST_CASE("slab_batch: no more slots than wanted are handed out", "[slab_batch]") {
  tiny_arena arena;
  const std::uint32_t c = size_class(48);
  for (std::uint32_t want = 1; want < 200; want += 3) {
    std::vector<void*> batch(want + 64, &arena);
    const std::uint32_t got = arena.allocate_batch(c, batch.data(), want);
    CHECK(got <= want);
    CHECK(std::count(batch.begin() + want, batch.end(), &arena) == 64);
    arena.deallocate_batch(c, batch.data(), got);
    require_valid(arena);
  }
}

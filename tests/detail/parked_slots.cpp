// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/parked_slots.hpp>
#include <miniheap/detail/random_order.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"

#include <algorithm>
#include <vector>

using namespace miniheap::detail;

namespace {

using shape = geometry<512 * miniheap::KiB>;
constexpr std::uint32_t lanes = 2;
lowest_first last_parked;

/// Slabs side by side in one miniheap, all of their slots used, and what is parked of them.
struct full_slabs {
  explicit full_slabs(std::uint32_t c) : size_class{c} {
    for (std::uint32_t n = 0; n < 10; ++n) {
      page_entry* const slab = &(*this)[n];
      slab->pages = shapes[c].pages;
      make_slab(slab, c);
      for (std::uint64_t& word : slab->free) word = 0;
      slab->used = slab->slots;
    }
  }

  page_entry& operator[](std::uint32_t n) const {
    return memory.map()[shape::head_pages + n * shapes[size_class].pages];
  }
  void* slot(std::uint32_t n, std::uint32_t slot) const {
    return shape::memory_of(&(*this)[n]) + slot * std::size_t{shapes[size_class].slot_bytes};
  }
  bool park(std::uint32_t n, std::uint32_t slot) { return parked.park((*this)[n], slot); }
  bool has_bit(std::uint32_t n, std::uint32_t slot) const { return ((*this)[n].free[slot / 64] >> slot % 64 & 1) != 0; }
  void* take(std::uint32_t lane = 0) { return parked.try_take(lane, size_class, last_parked); }

  miniheap_memory<512 * miniheap::KiB> memory;
  std::uint32_t size_class;
  parked_slots<shape, lanes, true> parked;
};

}  // namespace

TEST_CASE("parked_slots: the one that was parked last is the next, of each lane and size class", "[parked]") {
  full_slabs slabs{size_class(16)};  // 256 slots, so that all words of the bitmap count
  CHECK(slabs.take() == nullptr);
  slabs[2].lane = 1;
  REQUIRE(slabs.parked.park_alone(0, slabs.size_class, slabs.slot(0, 3)));
  CHECK(!slabs.parked.park_alone(0, slabs.size_class, slabs.slot(1, 255)));
  REQUIRE(slabs.park(1, 255));
  REQUIRE(slabs.park(2, 64));
  REQUIRE(slabs.parked.check());
  CHECK(slabs.parked.find_in(slabs[0]) == slabs.slot(0, 3));
  CHECK(slabs.parked.find_in(slabs[1]) == slabs.slot(1, 255));
  CHECK(slabs.parked.find_in(slabs[3]) == nullptr);
  CHECK(slabs.parked.slot_of(slabs[1], slabs.slot(1, 255)) == 255);
  CHECK(slabs.parked.try_take(0, size_class(32), last_parked) == nullptr);
  CHECK(slabs.take() == slabs.slot(1, 255));
  CHECK(slabs.take() == slabs.slot(0, 3));
  CHECK(slabs.take() == nullptr);
  CHECK(slabs.take(1 + lanes) == slabs.slot(2, 64));
  for (std::uint32_t n = 0; n < 3; ++n) CHECK(slabs[n].used == slabs[n].slots);
  CHECK(slabs.parked.check());
}

TEST_CASE("parked_slots: there are few, fewer if they are large, and any of them may become free", "[parked]") {
  full_slabs large{size_class(8192)};
  CHECK(large.park(0, 0));
  CHECK(!large.park(1, 0));
  full_slabs slabs{size_class(512)};
  std::uint32_t count = 0;
  while (slabs.park(count, 1)) ++count;
  CHECK(count == 7);
  CHECK(slabs.parked.find_in(slabs[7]) == nullptr);
  slabs.parked.give_back(slabs[3]);
  CHECK(slabs.parked.find_in(slabs[3]) == nullptr);
  CHECK(slabs[3].used == slabs[3].slots - 1);
  CHECK(slabs[3].free[0] == 0b10);
  CHECK(slabs.park(7, 1));
  REQUIRE(slabs.parked.check());
  CHECK(slabs.take() == slabs.slot(7, 1));
  CHECK(slabs.take() == slabs.slot(6, 1));
  std::vector<page_entry*> freed;
  slabs.parked.give_all_back([&](page_entry& slab) { freed.push_back(&slab); });
  std::sort(freed.begin(), freed.end());
  CHECK(freed == std::vector<page_entry*>{&slabs[0], &slabs[1], &slabs[2], &slabs[4], &slabs[5]});
  for (const page_entry* const slab : freed) {
    CHECK(slab->free[0] == 0b10);
    CHECK(check_slab(slab) == nullptr);
  }
  CHECK(slabs.take() == nullptr);
}

TEST_CASE("parked_slots: a slot has its bit as long as it is parked, unless it is parked alone", "[parked]") {
  full_slabs slabs{size_class(16)};
  REQUIRE(slabs.parked.park_alone(0, slabs.size_class, slabs.slot(0, 70)));
  REQUIRE(slabs.park(1, 200));
  REQUIRE(slabs.park(2, 255));
  CHECK(!slabs.has_bit(0, 70));
  CHECK(slabs.has_bit(1, 200));
  CHECK(slabs.has_bit(2, 255));
  CHECK(slabs.parked.find_in(slabs[1]) == slabs.slot(1, 200));
  CHECK(check_slab(&slabs[1]) == nullptr);
  REQUIRE(slabs.parked.check());
  slabs.parked.give_back(slabs[1]);
  CHECK(slabs.has_bit(1, 200));
  CHECK(slabs[1].used == slabs[1].slots - 1);
  CHECK(slabs.take() == slabs.slot(2, 255));
  CHECK(slabs.take() == slabs.slot(0, 70));
  CHECK(!slabs.has_bit(2, 255));
  CHECK(!slabs.has_bit(0, 70));
  parked_slots<shape, lanes, false> never_shown;
  REQUIRE(never_shown.park(slabs[3], 5));
  CHECK(!slabs.has_bit(3, 5));
  CHECK(never_shown.check());
  CHECK(never_shown.try_take(0, slabs.size_class, last_parked) == slabs.slot(3, 5));
}

TEST_CASE("parked_slots: any is the next where the order is random, or none", "[parked]") {
  full_slabs slabs{size_class(64)};
  random_order order;
  std::vector<void*> first;
  int passed_over = 0;
  for (int round = 0; round < 300; ++round) {
    for (std::uint32_t n = 0; n < 3; ++n) REQUIRE(slabs.park(n, n));
    std::vector<void*> taken;
    while (taken.size() < 3) {
      void* const slot = slabs.parked.try_take(0, slabs.size_class, order);
      if (slot != nullptr) {
        taken.push_back(slot);
      } else if (taken.empty()) {
        ++passed_over;
      }
    }
    first.push_back(taken.front());
    std::sort(taken.begin(), taken.end());
    CHECK(taken == std::vector<void*>{slabs.slot(0, 0), slabs.slot(1, 1), slabs.slot(2, 2)});
  }
  CHECK(slabs.take() == nullptr);
  for (std::uint32_t n = 0; n < 3; ++n) CHECK(std::count(first.begin(), first.end(), slabs.slot(n, n)) > 50);
  CHECK(passed_over > 100);
}

TEST_CASE("parked_slots: check notices what is wrong", "[parked][check]") {
  full_slabs slabs{size_class(1500)};
  REQUIRE(shapes[slabs.size_class].pages > 1);
  REQUIRE(slabs.park(0, 2));
  REQUIRE(slabs.park(1, 1));
  REQUIRE(slabs.parked.check());
  SECTION("a slab of another size class") { slabs[0].kind = slab_of_class(slabs.size_class + 1); }
  SECTION("a slab of another lane") { slabs[0].lane = 1; }
  SECTION("a slab that is not full") { --slabs[1].used; }
  SECTION("a slot without its bit") { slabs[1].free[0] = 0; }
  SECTION("the bit of another slot") { slabs[1].free[0] = 0b1; }
  SECTION("another free slot") { slabs[1].free[0] |= 0b1; }
  SECTION("the same slot twice") { REQUIRE(slabs.park(0, 2)); }
  CHECK(!slabs.parked.check());
}

TEST_CASE("parked_slots: check notices two slots of a slab that have no bits", "[parked][check]") {
  full_slabs slabs{size_class(64)};
  parked_slots<shape, lanes, false> parked;
  REQUIRE(parked.park(slabs[0], 1));
  REQUIRE(parked.park(slabs[1], 1));
  REQUIRE(parked.check());
  REQUIRE(parked.park(slabs[0], 2));
  CHECK(!parked.check());
}

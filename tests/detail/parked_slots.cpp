// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/parked_slots.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"

using namespace miniheap::detail;

TEST_CASE("parked_slots: a slot and its slab are found, and check notices what is wrong", "[parked][check]") {
  using shape = geometry<64 * miniheap::KiB>;
  const std::uint32_t c = size_class(1500);
  REQUIRE(shapes[c].pages > 1);
  const miniheap_memory<> memory;
  page_entry* const slab = memory.map() + 3;
  slab->pages = shapes[c].pages;
  make_slab(slab, c);
  slab->free[0] &= ~std::uint64_t{0b111};
  slab->used = 3;

  parked_slots<shape> parked;
  CHECK(parked.check());
  CHECK(!parked.is_in(*slab));
  void* const slot = memory.at(0) + 3 * page_bytes + 2 * shapes[c].slot_bytes;
  parked.park(c, slot);
  REQUIRE(parked.check());
  CHECK(parked[c] == slot);
  CHECK(parked.slab_of(c) == slab);
  CHECK(parked.slot_of(c) == 2);
  CHECK(parked.is_in(*slab));
  SECTION("a slab of another size class") { slab->kind = slab_of_class(c + 1); }
  SECTION("a slot that is free as well") { slab->free[0] |= 0b100; }
  SECTION("the last used slot") { slab->used = 1; }
  CHECK(!parked.check());
  parked.forget(c);
  CHECK(parked.check());
}

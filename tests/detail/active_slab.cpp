// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/active_slab.hpp>
#include <miniheap/detail/random_order.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"
#include "random.hpp"

#include <iterator>
#include <set>

using namespace miniheap::detail;

namespace {

lowest_first order;

/// A slab of size class `c` at page 3 of a miniheap.
struct made_slab {
  explicit made_slab(std::uint32_t size_class) : c{size_class} {
    first->pages = shapes[c].pages;
    make_slab(first, c);
  }
  [[nodiscard]] std::byte* memory_of_slots() const { return memory.at(0) + 3 * page_bytes; }

  std::uint32_t c;
  miniheap_memory<> memory;
  page_entry* first = memory.map() + 3;
};

}  // namespace

TEST_CASE("active_slab: hands each slot out once, word by word", "[active_slab]") {
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    const made_slab made{c};
    active_slab active;
    CHECK(active.is_exhausted());
    CHECK(active.check(c) == nullptr);
    active.activate(*made.first, made.memory_of_slots());
    CHECK(active.slab() == made.first);
    CHECK(active.is_idle());
    std::set<void*> slots;
    while (!active.is_exhausted()) {
      if (!active.has_claimed()) active.claim_word(*made.first, made.memory_of_slots());
      auto* const slot = static_cast<std::byte*>(active.take_slot(shapes[c].slot_bytes, order));
      CHECK(static_cast<std::size_t>(slot - made.memory_of_slots()) % shapes[c].slot_bytes == 0);
      CHECK(slots.insert(slot).second);
      if (active.check(c) != nullptr || check_slab(made.first) != nullptr) FAIL(c);
      if (active.is_idle()) FAIL("a slot is used");
    }
    CHECK(slots.size() == shapes[c].slots);
    active.deactivate();
    CHECK(is_full(*made.first));
    CHECK(!is_active(*made.first));
    CHECK(active.slab() == nullptr);
  }
}

TEST_CASE("active_slab: what comes back can be had again, what is claimed goes back", "[active_slab]") {
  random_numbers random{3};
  for (const std::uint32_t c : {0u, 1u, 10u, 31u}) {
    const made_slab made{c};
    const std::size_t slot_bytes = shapes[c].slot_bytes;
    active_slab active;
    active.activate(*made.first, made.memory_of_slots());
    std::set<std::byte*> used;
    for (int n = 0; n < 500; ++n) {
      if (active.has_claimed() && random.one_in(2)) {
        REQUIRE(used.insert(static_cast<std::byte*>(active.take_slot(slot_bytes, order))).second);
      } else if (!used.empty()) {
        const auto it = std::next(used.begin(), static_cast<std::ptrdiff_t>(random.below(used.size())));
        const std::size_t offset_bytes = active.offset_of(*it);
        REQUIRE(active.reaches(offset_bytes));
        const std::uint64_t bit = std::uint64_t{1} << (offset_bytes / slot_bytes);
        REQUIRE(!active.is_free(bit));
        active.give_slot(bit);
        REQUIRE(active.is_free(bit));
        used.erase(it);
      }
      REQUIRE(active.is_idle() == used.empty());
      REQUIRE(active.check(c) == nullptr);
    }
    CHECK(!active.reaches(active.offset_of(made.memory_of_slots() - 1)));
    CHECK(!active.reaches(active.offset_of(made.memory_of_slots() + shapes[c].slots * slot_bytes)));
    active.deactivate();
    CHECK(used_slots(*made.first) == used.size());
    CHECK(check_slab(made.first) == nullptr);
  }
}

TEST_CASE("active_slab: check notices what is wrong", "[active_slab][check]") {
  const std::uint32_t c = size_class(1024);
  const made_slab made{c};
  active_slab active;
  active.activate(*made.first, made.memory_of_slots());
  REQUIRE(active.check(c) == nullptr);
  SECTION("a slab that does not know that it is active") { made.first->used &= used_mask; }
  SECTION("a slab of another size class") { made.first->kind = slab_of_class(c + 1); }
  SECTION("a slot that is claimed and free as well") { made.first->free[0] = 1; }
  SECTION("a word that ends before the slab") { ++made.first->slots; }
  SECTION("a claimed slot that does not exist") { active.give_slot(std::uint64_t{1} << 40); }
  CHECK(active.check(c) != nullptr);
  active_slab none;
  REQUIRE(none.check(c) == nullptr);
  none.give_slot(1);  // of no slab
  CHECK(none.check(c) != nullptr);
}

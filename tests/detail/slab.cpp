// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/slab.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"

using namespace miniheap::detail;

namespace {

/// A span of a miniheap, made a slab of size class `c`.
struct made_slab {
  explicit made_slab(std::uint32_t c) {
    first->pages = shapes[c].pages;
    make_slab(first, c);
  }
  miniheap_memory<> memory{1, 0x55};
  page_entry* first = memory.map() + 3;
};

}  // namespace

TEST_CASE("slab: a mask has as many bits as there are slots", "[slab]") {
  for (std::uint32_t slots = 0; slots <= 64 * slot_words; ++slots) {
    for (std::uint32_t bit = 0; bit < 64 * slot_words; ++bit) {
      if ((slot_mask(slots, bit / 64) >> (bit % 64) & 1u) != (bit < slots ? 1u : 0u))
        FAIL(slots << " slots, bit " << bit);
    }
  }
}

TEST_CASE("slab: a new one has all slots free, and pages that point back", "[slab]") {
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    const made_slab slab{c};
    REQUIRE(check_slab(slab.first) == nullptr);
    CHECK(slab.first->slots == shapes[c].slots);
    CHECK(slab.first->used == 0);
    CHECK(!is_full(*slab.first));
    CHECK(!is_active(*slab.first));
    CHECK(word_with_free_slot(*slab.first) == 0);
    for (std::uint32_t page = 0; page < shapes[c].pages; ++page) {
      CHECK(is_slab(slab.first[page].kind));
      CHECK(class_of_slab(slab.first[page].kind) == c);
      CHECK(slab.first + page - slab.first[page].back == slab.first);
    }
  }
}

TEST_CASE("slab: no more than its pages are a slab's", "[slab]") {
  made_slab slab{size_classes - 1};
  const std::uint32_t pages = shapes[size_classes - 1].pages;
  slab.first[-1].kind = slab.first[pages].kind = page_kind::medium;
  unmake_slab(slab.first);
  for (std::uint32_t page = 0; page < pages; ++page) CHECK(slab.first[page].kind == page_kind::free);
  CHECK(slab.first[-1].kind == page_kind::medium);
  CHECK(slab.first[pages].kind == page_kind::medium);
}

TEST_CASE("slab: the word with a free slot is the first that is not empty", "[slab]") {
  const made_slab slab{0};
  for (std::uint32_t w = 0; w < slot_words; ++w) {
    CHECK(word_with_free_slot(*slab.first) == w);
    slab.first->free[w] = 0;
    slab.first->used = static_cast<std::uint16_t>(slab.first->used + 64);
    CHECK(check_slab(slab.first) == nullptr);
  }
  CHECK(is_full(*slab.first));
}

TEST_CASE("slab: a free is quiet unless the slab was full, is left with no used slot, or has a mark", "[slab]") {
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    const std::uint16_t slots = shapes[c].slots;
    for (std::uint16_t used = 1; used <= slots; ++used) {
      if (is_free_quiet(used, slots) != (used > 1 && used != slots)) FAIL(used << " of " << slots);
      if (is_free_quiet(used | active_mark, slots)) FAIL(used << " of " << slots << ", active");
      if (is_free_quiet(used | counted_mark, slots)) FAIL(used << " of " << slots << ", counted");
    }
  }
}

TEST_CASE("slab: check notices what is wrong", "[slab][check]") {
  const std::uint32_t c = size_class(2048);
  made_slab slab{c};
  REQUIRE(shapes[c].pages > 1);
  REQUIRE(check_slab(slab.first) == nullptr);
  SECTION("a slot that is neither free nor used") { slab.first->free[0] ^= 1; }
  SECTION("a used slot too many") { ++slab.first->used; }
  SECTION("a slot that does not exist") { slab.first->free[slot_words - 1] |= std::uint64_t{1} << 63; }
  SECTION("a wrong number of slots") { --slab.first->slots; }
  SECTION("a wrong length") { ++slab.first->pages; }
  SECTION("a page that does not point back") { slab.first[1].back = 0; }
  SECTION("a page of another kind") { slab.first[1].kind = page_kind::free; }
  CHECK(check_slab(slab.first) != nullptr);
}

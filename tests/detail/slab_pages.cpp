// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/slab_pages.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"

using namespace miniheap::detail;

namespace {

/// Whether no used slot of a slab lies on one of its pages.
bool is_unused(const page_entry& slab, std::uint32_t page) {
  const std::uint32_t slot_bytes = shapes[class_of_slab(slab.kind)].slot_bytes;
  for (std::uint32_t slot = 0; slot < slab.slots; ++slot) {
    const bool is_free = (slab.free[0] >> slot & 1u) != 0;
    if (!is_free && slot * slot_bytes < (page + 1) * page_bytes && (slot + 1) * slot_bytes > page * page_bytes)
      return false;
  }
  return true;
}

}  // namespace

TEST_CASE("slab_pages: unused are those that no used slot lies on", "[slab]") {
  const miniheap_memory<> memory{1, 0x55};
  page_entry* const slab = memory.map() + 3;
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    if (shapes[c].pages == 1) continue;
    slab->pages = shapes[c].pages;
    make_slab(slab, c);
    CHECK(slab->unused == 0);
    for (std::uint64_t free = 0; free < std::uint64_t{1} << shapes[c].slots; ++free) {
      slab->free[0] = free;
      slab->used = static_cast<std::uint16_t>(shapes[c].slots - std::popcount(free));
      std::uint32_t expected = 0;
      for (std::uint32_t page = 0; page < slab->pages; ++page)
        expected |= std::uint32_t{is_unused(*slab, page)} << page;
      if (unused_pages(*slab) != expected) FAIL("class " << c << ", free slots " << free);
    }
  }
}

TEST_CASE("slab_pages: what a freed slot makes unused are pages that it lay on", "[slab]") {
  const miniheap_memory<> memory{1, 0x55};
  page_entry* const slab = memory.map() + 3;
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    if (shapes[c].pages == 1) continue;
    slab->pages = shapes[c].pages;
    make_slab(slab, c);
    slab->free[0] = 0;
    slab->used = shapes[c].slots;
    std::uint32_t unused = 0;
    for (std::uint32_t n = 0; n < shapes[c].slots; ++n) {
      const std::uint32_t slot = n * 3 % shapes[c].slots;  // in some order; all of them where 3 does not divide
      if ((slab->free[0] >> slot & 1u) != 0) continue;
      put_back(*slab, slot);
      const std::uint32_t more = unused_pages_of_slot(*slab, slot);
      REQUIRE((more & unused) == 0);
      unused |= more;
      REQUIRE(unused_pages(*slab) == unused);
    }
  }
}

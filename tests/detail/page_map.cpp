// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/page_map.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"

using namespace miniheap;
using namespace miniheap::detail;

namespace {

template <std::size_t MiniheapBytes>
void agree() {
  using shape = geometry<MiniheapBytes>;
  CHECK(shape::pages * page_bytes == MiniheapBytes);
  CHECK(shape::head_pages * page_bytes >= shape::pages * sizeof(page_entry));
  CHECK((shape::head_pages - 1) * page_bytes < shape::pages * sizeof(page_entry));
  CHECK(shape::head_pages + shape::usable_pages == shape::pages);
  const miniheap_memory<MiniheapBytes> memory;
  for (std::uint32_t page = 0; page < shape::pages; ++page) {
    page_entry* const entry = memory.map() + page;
    std::byte* const first = memory.at(0) + page * page_bytes;
    if (shape::page_of(entry) != page || shape::memory_of(entry) != first) FAIL(page);
    for (const std::size_t in_page : {std::size_t{0}, std::size_t{1}, page_bytes - 1}) {
      const std::uintptr_t address = address_of(first + in_page);
      if (shape::map_of(address) != memory.map()) FAIL(page);
      if (shape::page_at(shape::offset_of(address)) != page) FAIL(page);
    }
  }
}

}  // namespace

TEST_CASE("page_map: entries, pages and addresses lead to each other", "[page_map]") {
  agree<64 * KiB>();
  agree<256 * KiB>();
  agree<4 * MiB>();
}

TEST_CASE("page_map: the kind of a slab tells its size class", "[page_map]") {
  for (std::uint32_t c = 0; c < 32; ++c) {
    CHECK(is_slab(slab_of_class(c)));
    CHECK(class_of_slab(slab_of_class(c)) == c);
  }
  CHECK(!is_slab(page_kind::free));
  CHECK(!is_slab(page_kind::medium));
  CHECK(!is_slab(page_kind::head));
}

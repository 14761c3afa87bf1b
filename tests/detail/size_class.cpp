// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/size_class.hpp>

#include "catch.hpp"

#include <vector>

using namespace miniheap::detail;

namespace {

/// The definition: 16, 32, 48, 64, then four a doubling, to 8 KiB.
std::vector<std::uint32_t> defined_sizes() {
  std::vector<std::uint32_t> sizes{16, 32, 48, 64};
  for (std::uint32_t base = 64; base < 8192; base *= 2) {
    for (std::uint32_t quarter = 1; quarter <= 4; ++quarter) sizes.push_back(base + quarter * base / 4);
  }
  return sizes;
}

}  // namespace

TEST_CASE("size_class: the sizes are those of the definition", "[size_class]") {
  const std::vector<std::uint32_t> sizes = defined_sizes();
  REQUIRE(sizes.size() == size_classes);
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    CHECK(slot_bytes_of_class(c) == sizes[c]);
    CHECK(shapes[c].slot_bytes == sizes[c]);
  }
}

TEST_CASE("size_class: each request gets the smallest slot that holds it", "[size_class]") {
  const std::vector<std::uint32_t> sizes = defined_sizes();
  std::uint32_t c = 0;
  for (std::size_t bytes = 0; bytes <= max_small_bytes; ++bytes) {
    while (sizes[c] < bytes) ++c;
    if (size_class(bytes) != c) FAIL(bytes << " bytes");
  }
}

TEST_CASE("size_class: each aligned request gets aligned slots", "[size_class]") {
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (std::size_t bytes = 0; bytes <= max_small_bytes; ++bytes) {
      if (!is_small(bytes, alignment)) {
        if ((bytes + alignment - 1) / alignment * alignment <= max_small_bytes) FAIL(bytes << " at " << alignment);
        continue;
      }
      const std::uint32_t slot_bytes = shapes[size_class(aligned_request(bytes, alignment))].slot_bytes;
      if (slot_bytes < bytes || slot_bytes % alignment != 0) FAIL(bytes << " at " << alignment);
      // No smaller class would do.
      for (std::uint32_t c = 0; shapes[c].slot_bytes < slot_bytes; ++c) {
        if (shapes[c].slot_bytes >= bytes && bytes != 0 && shapes[c].slot_bytes % alignment == 0) {
          FAIL(bytes << " at " << alignment << " would fit into " << shapes[c].slot_bytes);
        }
      }
    }
  }
  CHECK(!is_small(max_small_bytes + 1, 1));
  CHECK(!is_small(1, 8192));
  CHECK(!is_small(SIZE_MAX, 4096));
  CHECK(!is_small(SIZE_MAX - 10, 16));
}

TEST_CASE("size_class: sized frees of anything between request and slot find the same class", "[size_class]") {
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (std::size_t bytes = 0; bytes <= max_small_bytes; bytes += 7) {
      if (!is_small(bytes, alignment)) continue;
      const std::uint32_t c = size_class(aligned_request(bytes, alignment));
      for (std::size_t said = bytes; said <= shapes[c].slot_bytes; said += said < bytes + 40 ? 1 : 61) {
        if (!is_small(said, alignment) || size_class(aligned_request(said, alignment)) != c)
          FAIL(bytes << ", " << said);
      }
      if (size_class(aligned_request(shapes[c].slot_bytes, alignment)) != c) FAIL(bytes << " at " << alignment);
    }
  }
}

TEST_CASE("size_class: the reciprocal is exact for every offset of every slab", "[size_class]") {
  for (const slab_shape& shape : shapes) {
    const std::uint32_t slab_bytes = shape.pages * static_cast<std::uint32_t>(page_bytes);
    for (std::uint32_t offset = 0; offset < slab_bytes; ++offset) {
      const std::uint64_t position = shape.position(offset);
      const std::uint32_t slot = offset / shape.slot_bytes;
      if (shape.slot_of(position) != slot) FAIL("offset " << offset << " of " << shape.slot_bytes);
      const bool is_start = offset % shape.slot_bytes == 0 && slot < shape.slots;
      if (shape.is_start(position) != is_start) FAIL("offset " << offset << " of " << shape.slot_bytes);
    }
  }
}

TEST_CASE("size_class: slabs are the fewest pages that hold four slots and waste an eighth at most", "[size_class]") {
  for (const slab_shape& shape : shapes) {
    const auto is_good = [&](std::uint32_t pages) {
      const std::uint32_t bytes = pages * 4096;
      return bytes / shape.slot_bytes >= 4 && (bytes % shape.slot_bytes) * 8 <= bytes;
    };
    CHECK(is_good(shape.pages));
    for (std::uint32_t pages = 1; pages < shape.pages; ++pages) CHECK(!is_good(pages));
    CHECK(shape.slots == shape.pages * 4096u / shape.slot_bytes);
    CHECK(shape.slots <= max_slots);
    CHECK(shape.pages <= max_slab_pages);
    CHECK(shape.tail_bytes() == shape.pages * 4096u % shape.slot_bytes);
  }
}

// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/size_class.hpp>

#include "catch.hpp"

#include <algorithm>
#include <vector>

using namespace miniheap::detail;

namespace {

/// The definition: 16, 32, 48, 64, then four a doubling, from 128 on eight, to 8 KiB; without those whose slots take
/// as much of a slab as the next ones.
std::vector<std::uint32_t> defined_sizes() {
  const std::vector<std::uint32_t> left_out{416, 480, 704, 832, 896, 960, 1920, 3840, 6656, 7680};
  std::vector<std::uint32_t> sizes{16, 32, 48, 64};
  for (std::uint32_t base = 64; base < 8192; base *= 2) {
    const std::uint32_t parts = base < 128 ? 4 : 8;
    for (std::uint32_t part = 1; part <= parts; ++part) sizes.push_back(base + part * base / parts);
  }
  std::erase_if(
      sizes, [&](std::uint32_t size) { return std::find(left_out.begin(), left_out.end(), size) != left_out.end(); });
  return sizes;
}

}  // namespace

TEST_CASE("size_class: the sizes are those of the definition", "[size_class]") {
  const std::vector<std::uint32_t> sizes = defined_sizes();
  REQUIRE(sizes.size() == size_classes);
  for (std::uint32_t c = 0; c < size_classes; ++c) {
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

TEST_CASE("size_class: slabs are one page, or have four slots and waste as little as few pages can", "[size_class]") {
  for (const slab_shape& shape : shapes) {
    INFO(shape.slot_bytes << " bytes");
    const auto slots_in = [&](std::uint32_t pages) { return pages * 4096 / shape.slot_bytes; };
    const auto wastes_little = [&](std::uint32_t pages) {
      return slots_in(pages) >= 4 && (pages * 4096 % shape.slot_bytes) * 16 <= pages * 4096;
    };
    CHECK(shape.slots == slots_in(shape.pages));
    CHECK(shape.slots >= 4);
    CHECK(shape.slots <= max_slots);
    CHECK(shape.tail_bytes() == shape.pages * 4096u % shape.slot_bytes);
    if (shape.slot_bytes <= 1024) {
      CHECK(shape.pages == 1);
      continue;
    }
    CHECK(shape.pages <= 8);
    for (std::uint32_t pages = 1; pages <= 8; ++pages) {
      if (pages < shape.pages) CHECK(!wastes_little(pages));
      if (!wastes_little(shape.pages) && slots_in(pages) >= 4) {
        CHECK(slots_in(pages) * shape.pages <= shape.slots * pages);
      }
    }
  }
}

TEST_CASE("size_class: a larger slot takes more of its slab", "[size_class]") {
  for (std::uint32_t c = 1; c < size_classes; ++c) {
    CHECK(shapes[c - 1].pages * shapes[c].slots < shapes[c].pages * shapes[c - 1].slots);
  }
}

TEST_CASE("size_class: a class serves what it is the class of, and nothing else", "[size_class]") {
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    for (std::size_t bytes = 0; bytes <= max_small_bytes; ++bytes) {
      if (shapes[c].serves(bytes) != (size_class(bytes) == c)) FAIL(bytes << ", class " << c);
    }
    CHECK_FALSE(shapes[c].serves(max_small_bytes + 1));
    CHECK_FALSE(shapes[c].serves(SIZE_MAX));
  }
}

TEST_CASE("size_class: stock is kept of small allocations, and of medium ones by their length", "[size_class]") {
  for (std::size_t alignment = 1; alignment <= 65536; alignment *= 2) {
    for (std::size_t bytes = 0; bytes <= 80000; bytes += 1 + bytes % 16) {
      const std::uint32_t c = stock_class(bytes, alignment);
      const std::size_t pages = (bytes + 4095) / 4096;
      INFO(bytes << " at " << alignment);
      if (is_small(bytes, alignment)) {
        if (c != size_class(aligned_request(bytes, alignment))) FAIL();
      } else if (alignment <= 4096 && pages <= 16) {
        if (c != size_classes + pages - 3 || is_slot_class(c)) FAIL();
        if (pages_of_stock_class(c) != pages || bytes_of_stock_class(c) != pages * 4096) FAIL();
        if (stock_class_of_pages(pages) != c) FAIL();
      } else if (c != stock_classes) {
        FAIL();
      }
    }
    CHECK(stock_class(SIZE_MAX, alignment) == stock_classes);
  }
  for (const std::size_t pages : {0u, 1u, 2u, 17u, 1000u}) CHECK(stock_class_of_pages(pages) == stock_classes);
  CHECK(stock_class(16 * 4096, 16) == stock_classes - 1);
  CHECK(stock_class(16 * 4096 + 1, 16) == stock_classes);
}

// The tables are made when the library is compiled; what makes them does the same when it is called.
TEST_CASE("size_class: the shapes are what their definition gives at run time", "[size_class]") {
  volatile std::uint32_t slot_bytes = 16;  // out of the compiler's sight
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    const slab_size size = slab_size_for(slot_bytes);
    CHECK(shapes[c].slot_bytes == slot_bytes);
    CHECK(shapes[c].slots == size.slots);
    CHECK(shapes[c].pages == size.pages);
    CHECK(size.bytes() == shapes[c].slots * slot_bytes + shapes[c].tail_bytes());
    slot_bytes = slot_bytes_above(slot_bytes);
  }
}

// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/units.hpp>

#include "catch.hpp"

using namespace miniheap::detail;

TEST_CASE("units: rounding agrees with division", "[units]") {
  for (std::size_t n = 0; n < 3 * page_bytes; ++n) {
    for (std::size_t unit = 1; unit <= page_bytes; unit *= 4) {
      if (align_down(n, unit) != n / unit * unit) FAIL(n << " down to " << unit);
      if (align_up(n, unit) != (n + unit - 1) / unit * unit) FAIL(n << " up to " << unit);
    }
  }
}

TEST_CASE("units: bytes take whole pages", "[units]") {
  CHECK(pages_for(1) == 1);
  CHECK(pages_for(page_bytes - 1) == 1);
  CHECK(pages_for(page_bytes) == 1);
  CHECK(pages_for(page_bytes + 1) == 2);
  CHECK(pages_for(1000 * page_bytes) == 1000);
}

TEST_CASE("units: rounding works in the type that is given", "[units]") {
  CHECK(align_up(std::uint32_t{0xffffe001}, 4096) == 0xfffff000u);
  CHECK(align_down(std::uint32_t{0xffffffff}, 1u << 31) == 0x80000000u);
  CHECK(align_up(std::uintptr_t{0x7fffffffe001}, 4096) == 0x7ffffffff000u);
}

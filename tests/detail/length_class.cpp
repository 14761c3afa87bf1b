// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/length_class.hpp>

#include "catch.hpp"

using namespace miniheap::detail;

namespace {
constexpr std::uint32_t most_pages = 64 * 256;  // of a miniheap of 64 MiB
}

TEST_CASE("length_class: grows with the length, from one class to the next", "[length_class]") {
  REQUIRE(length_class(1) == 0);
  for (std::uint32_t pages = 1; pages < most_pages; ++pages) {
    const std::uint32_t step = length_class(pages + 1) - length_class(pages);
    if (step > 1) FAIL(pages);
    if (pages < 8 && step != 1) FAIL(pages << " pages have a class of their own");
  }
  CHECK(length_class(most_pages) < 64);
}

TEST_CASE("length_class: four classes a doubling", "[length_class]") {
  for (std::uint32_t pages = 8; pages < most_pages; ++pages) {
    if (length_class(2 * pages) != length_class(pages) + 4) FAIL(pages);
  }
}

TEST_CASE("length_class: the shortest of a class is the first in it", "[length_class]") {
  for (std::uint32_t k = 0; k <= length_class(most_pages); ++k) {
    CHECK(length_class(shortest_of_class(k)) == k);
    if (k > 0) CHECK(length_class(shortest_of_class(k) - 1) == k - 1);
  }
}

TEST_CASE("length_class: from the class that is sure, all spans are long enough", "[length_class]") {
  for (std::uint32_t pages = 1; pages < most_pages; ++pages) {
    const std::uint32_t sure = length_class_at_least(pages);
    if (shortest_of_class(sure) < pages) FAIL(pages);
    if (sure > 0 && shortest_of_class(sure - 1) >= pages) FAIL(pages << ": a class too far");
  }
}

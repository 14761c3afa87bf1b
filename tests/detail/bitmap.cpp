// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/bitmap.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

using miniheap::detail::bitmap;

namespace {

template <std::uint32_t Bits>
void same_as_vector() {
  bitmap<Bits> bits;
  std::vector<bool> expected(Bits);
  random_numbers random{Bits};
  for (int n = 0; n < 2000; ++n) {
    const std::uint32_t first = random.below(Bits);
    const std::uint32_t count = random.below(Bits - first + 1);
    const bool value = random.one_in(2);
    const auto before = std::count(expected.begin() + first, expected.begin() + first + count, true);
    if (value) {
      bits.set(first, count);
    } else if (random.one_in(2)) {
      bits.clear(first, count);
    } else {
      REQUIRE(bits.take(first, count) == static_cast<std::uint32_t>(before));
    }
    std::fill_n(expected.begin() + first, count, value);

    const auto set = static_cast<std::uint32_t>(std::count(expected.begin(), expected.end(), true));
    REQUIRE(bits.count() == set);
    const auto counted = std::count(expected.begin() + first / 2, expected.begin() + first / 2 + count, true);
    REQUIRE(bits.count(first / 2, count) == static_cast<std::uint32_t>(counted));
    const std::uint32_t bit = random.below(Bits);
    REQUIRE(bits.test(bit) == expected[bit]);
    const std::uint32_t from = random.below(Bits + 2);
    const auto begin = expected.begin() + std::min(from, Bits);
    REQUIRE(bits.find_from(from) == std::find(begin, expected.end(), true) - expected.begin());
    const std::uint32_t row = 1 + random.below(64u);
    const auto length = static_cast<std::ptrdiff_t>(row);
    REQUIRE(bits.find_row(row) == std::search_n(expected.begin(), expected.end(), length, true) - expected.begin());
    REQUIRE(bits.find_row(row, from) == std::search_n(begin, expected.end(), length, true) - expected.begin());
    const auto last_clear = std::find(std::make_reverse_iterator(begin), expected.rend(), false);
    if (last_clear != expected.rend()) {
      REQUIRE(bits.find_clear_below(std::min(from, Bits)) == expected.rend() - last_clear - 1);
    }
    if (from < Bits) REQUIRE(bits.find_clear_from(from) == std::find(begin, expected.end(), false) - expected.begin());
  }
  for (std::uint32_t bit = 0; bit < Bits; ++bit) REQUIRE(bits.test(bit) == expected[bit]);
}

}  // namespace

TEST_CASE("bitmap: the same as a vector of bool", "[bitmap]") {
  same_as_vector<1>();
  same_as_vector<16>();
  same_as_vector<63>();
  same_as_vector<64>();
  same_as_vector<65>();
  same_as_vector<1024>();
}

TEST_CASE("bitmap: no bits are nothing", "[bitmap]") {
  bitmap<128> bits;
  bits.set(64, 0);
  CHECK(bits.count() == 0);
  CHECK(bits.find_from(0) == 128);
  bits.set(0, 128);
  bits.clear(127, 0);
  CHECK(bits.count() == 128);
  CHECK(bits.find_from(128) == 128);
}

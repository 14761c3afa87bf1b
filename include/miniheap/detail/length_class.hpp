// SPDX-License-Identifier: BSL-1.0
/// \file
/// Classes of span lengths: up to 7 pages each length has its own, from 8 pages on there are four classes a doubling.
#pragma once

#include <bit>
#include <cstdint>

namespace miniheap::detail {

/// The class of a span of `pages` pages; `pages` >= 1.
constexpr std::uint32_t length_class(std::uint32_t pages) noexcept {
  if (pages < 8) return pages - 1;
  const auto shift = static_cast<std::uint32_t>(std::bit_width(pages)) - 3;  // leaves three bits, 4 to 7
  return 4 * shift + (pages >> shift) - 1;
}

/// The shortest span of a class, pages.
constexpr std::uint32_t shortest_of_class(std::uint32_t k) noexcept {
  return k < 7 ? k + 1 : (4 + (k - 7) % 4) << ((k - 7) / 4 + 1);
}

/// The first class whose spans all have at least `pages` pages.
constexpr std::uint32_t length_class_at_least(std::uint32_t pages) noexcept {
  const std::uint32_t k = length_class(pages);
  return shortest_of_class(k) == pages ? k : k + 1;
}

static_assert(length_class(7) == 6 && length_class(8) == 7 && length_class(9) == 7 && length_class(10) == 8);
static_assert(length_class(16) == 11 && shortest_of_class(7) == 8 && shortest_of_class(11) == 16);
static_assert(length_class_at_least(9) == 8 && length_class_at_least(8) == 7);
static_assert(length_class(16383) < 64, "the classes of the largest miniheap fit a mask of 64 bits");

}  // namespace miniheap::detail

// SPDX-License-Identifier: BSL-1.0
/// \file
/// A bitmap of fixed size: one bit a page.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace miniheap::detail {

template <std::uint32_t Bits>
class bitmap {
 public:
  [[nodiscard]] constexpr bool test(std::uint32_t bit) const noexcept {
    return ((words_[bit / 64] >> (bit % 64)) & 1u) != 0;
  }

  constexpr void set(std::uint32_t first, std::uint32_t count) noexcept {
    for_words(words_, first, count, [](std::uint64_t& word, std::uint64_t mask) { word |= mask; });
  }

  constexpr void clear(std::uint32_t first, std::uint32_t count) noexcept {
    for_words(words_, first, count, [](std::uint64_t& word, std::uint64_t mask) { word &= ~mask; });
  }

  /// The same; how many of them were set.
  constexpr std::uint32_t take(std::uint32_t first, std::uint32_t count) noexcept {
    std::uint32_t n = 0;
    for_words(words_, first, count, [&n](std::uint64_t& word, std::uint64_t mask) {
      const std::uint64_t taken = word & mask;
      if (taken == 0) return;
      n += static_cast<std::uint32_t>(std::popcount(taken));
      word &= ~mask;
    });
    return n;
  }

  /// The first bit that is set at `from` or above, or `Bits`. O(words).
  [[nodiscard]] constexpr std::uint32_t find_from(std::uint32_t from) const noexcept {
    return find([](std::uint64_t word) { return word; }, from);
  }

  /// The first bit that is clear at `from` or above, or `Bits`. O(words).
  [[nodiscard]] constexpr std::uint32_t find_clear_from(std::uint32_t from) const noexcept {
    const std::uint32_t found = find([](std::uint64_t word) { return ~word; }, from);
    return found < Bits ? found : Bits;
  }

  /// The last bit that is clear below `below`; there is one. O(words).
  [[nodiscard]] constexpr std::uint32_t find_clear_below(std::uint32_t below) const noexcept {
    std::uint32_t index = (below - 1) / 64;
    std::uint64_t word = ~words_[index] << (63 - (below - 1) % 64);
    if (word != 0) return below - 1 - static_cast<std::uint32_t>(std::countl_zero(word));
    do word = ~words_[--index];
    while (word == 0);
    return index * 64 + 63 - static_cast<std::uint32_t>(std::countl_zero(word));
  }

  /// The first of `n` set bits in a row, at the lowest place there is from `from` on, or `Bits`; `n` is 1 to 64.
  /// O(words).
  [[nodiscard]] constexpr std::uint32_t find_row(std::uint32_t n, std::uint32_t from = 0) const noexcept {
    std::uint64_t above = ~std::uint64_t{0} << (from % 64);
    for (std::uint32_t index = from / 64; index < words; ++index, above = ~std::uint64_t{0}) {
      std::uint64_t starts = words_[index] & above;  // bit i: a row of `length` starts there
      if (starts == 0) continue;
      std::uint64_t behind = index + 1 < words ? words_[index + 1] : 0;
      for (std::uint32_t length = 1; starts != 0 && length < n;) {
        const std::uint32_t step = length < n - length ? length : n - length;
        starts &= starts >> step | behind << (64 - step);
        behind &= behind >> step;
        length += step;
      }
      if (starts != 0) return index * 64 + static_cast<std::uint32_t>(std::countr_zero(starts));
    }
    return Bits;
  }

  [[nodiscard]] constexpr std::uint32_t count() const noexcept { return count(0, Bits); }

  /// How many of `count` bits from `first` on are set. O(words).
  [[nodiscard]] constexpr std::uint32_t count(std::uint32_t first, std::uint32_t count) const noexcept {
    std::uint32_t n = 0;
    for_words(words_, first, count, [&n](std::uint64_t word, std::uint64_t mask) {
      n += static_cast<std::uint32_t>(std::popcount(word & mask));
    });
    return n;
  }

 private:
  static constexpr std::uint32_t words = (Bits + 63) / 64;

  template <class Map>
  [[nodiscard]] constexpr std::uint32_t find(Map map, std::uint32_t from) const noexcept {
    if (from >= Bits) return Bits;
    std::uint32_t index = from / 64;
    std::uint64_t word = map(words_[index]) & (~std::uint64_t{0} << (from % 64));
    while (word == 0) {
      if (++index == words) return Bits;
      word = map(words_[index]);
    }
    return index * 64 + static_cast<std::uint32_t>(std::countr_zero(word));
  }

  /// Calls `visit(word, mask)` for each word that the bits `first` to `first + count - 1` touch.
  template <class Words, class Visit>
  static constexpr void for_words(Words& all, std::uint32_t first, std::uint32_t count, Visit visit) noexcept {
    while (count != 0) {
      const std::uint32_t shift = first % 64;
      const std::uint32_t n = count < 64 - shift ? count : 64 - shift;
      visit(all[first / 64], (~std::uint64_t{0} >> (64 - n)) << shift);
      first += n;
      count -= n;
    }
  }

  std::array<std::uint64_t, words> words_{};
};

}  // namespace miniheap::detail

// SPDX-License-Identifier: BSL-1.0
// Sizes and alignments where something changes, chosen by the input.
#pragma once

#include "fuzz/input.hpp"

#include <miniheap/config.hpp>
#include <miniheap/detail/size_class.hpp>

#include <algorithm>

namespace fuzz {

/// For arenas with miniheaps of 64 KiB: mostly tiny and small, around a size class, pages and one byte more or less,
/// about the large threshold, above a miniheap.
inline std::size_t choose_bytes(input& in) {
  switch (in.below(8)) {
    case 0:
    case 1:
      return in.byte();
    case 2: {
      const std::size_t c = in.below(miniheap::detail::size_classes);
      return miniheap::detail::shapes[c].slot_bytes + in.below(2);
    }
    case 3:
      return in.below(8 * miniheap::KiB + 2);
    case 4:
      return in.between(1, 20) * 4096 + in.below(3) - 1;
    case 5:
      return in.between(1024, 8192);
    case 6:
      return in.below(64 * miniheap::KiB);
    default:
      return in.between(24, 400) * miniheap::KiB + in.below(3) - 1;
  }
}

/// Mostly the default; up to twice a miniheap.
inline std::size_t choose_alignment(input& in) {
  const std::size_t choice = in.byte();
  return choice < 128 ? miniheap::default_alignment : std::size_t{1} << choice % 18;
}

/// More than there is, and mostly more than there can be.
inline std::size_t choose_much(input& in) {
  constexpr std::size_t most = PTRDIFF_MAX;
  constexpr std::size_t around[] = {SIZE_MAX - 255,       most - 127,           most - 64 * miniheap::KiB - 127,
                                    SIZE_MAX / 2 - 4200,  std::size_t{1} << 62, std::size_t{1} << 40,
                                    SIZE_MAX - 8192 - 127};
  return around[in.below(std::size(around))] + in.byte();
}

/// What is asked of malloc: now and then too much, ...
inline std::size_t any_bytes(input& in) { return in.one_in(12) ? choose_much(in) : choose_bytes(in); }

/// ... and alignments that are none.
inline std::size_t any_alignment(input& in) {
  return in.one_in(6) ? in.byte() : in.one_in(8) ? std::size_t{1} << in.below(64) : choose_alignment(in);
}

/// What is asked of calloc. Half of them are too much, or overflow.
struct product {
  std::size_t count;
  std::size_t bytes;
  std::size_t all_bytes = 0;
  bool overflows = __builtin_mul_overflow(count, bytes, &all_bytes);

  [[nodiscard]] std::size_t at_most() const noexcept { return overflows ? SIZE_MAX : all_bytes; }
};

inline product any_product(input& in) {
  switch (in.below(8)) {
    case 0:
      return {in.below(4), choose_much(in)};
    case 1:
      return {choose_much(in), in.below(4)};
    case 2:
      return {std::size_t{1} << in.below(64), std::size_t{1} << in.below(64)};
    case 3:
      return {SIZE_MAX / 16 + in.below(4), 16};  // without its highest bits the product is small
    default:
      return {in.below(20), choose_bytes(in) / 8};
  }
}

}  // namespace fuzz

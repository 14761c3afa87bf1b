// SPDX-License-Identifier: BSL-1.0
/// \file
/// Pages and bytes. In names: `_bytes` counts bytes, `_pages` counts pages, `page` is the index of a page in its
/// miniheap, `address` is an address as a number.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace miniheap::detail {

/// Our unit in the page map, and the operating system's page on x86-64.
inline constexpr std::size_t page_bytes = 4096;

/// What processors pass to each other: what one thread reads all the time had better share none with what others write.
inline constexpr std::size_t cache_line_bytes = 64;

template <class Unsigned>
constexpr Unsigned align_down(Unsigned n, std::size_t power_of_two) noexcept {
  return static_cast<Unsigned>(n & ~static_cast<Unsigned>(power_of_two - 1));
}

/// Wraps to 0 beyond the last multiple; callers bound `n` first.
template <class Unsigned>
constexpr Unsigned align_up(Unsigned n, std::size_t power_of_two) noexcept {
  return align_down(static_cast<Unsigned>(n + (power_of_two - 1)), power_of_two);
}

/// A request of no bytes is one of 1 byte: it gets an address of its own.
constexpr std::size_t at_least_one(std::size_t bytes) noexcept { return bytes + static_cast<std::size_t>(bytes == 0); }

constexpr std::size_t pages_for(std::size_t bytes) noexcept { return align_up(bytes, page_bytes) / page_bytes; }

inline std::uintptr_t address_of(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }

/// As `std::min` and `std::max`, without the header that they are in.
template <class T>
constexpr T smaller(T a, T b) noexcept {
  return b < a ? b : a;
}
template <class T>
constexpr T larger(T a, T b) noexcept {
  return a < b ? b : a;
}

}  // namespace miniheap::detail

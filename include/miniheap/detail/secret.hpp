// SPDX-License-Identifier: BSL-1.0
/// \file
/// Numbers that nobody foresees.
#pragma once

#include <miniheap/detail/units.hpp>

#include <sys/auxv.h>
#include <sys/random.h>

#include <cstring>

namespace miniheap::detail {

/// Scatters a number over all 64 bits: the first half of D. Stafford's variant 13 of MurmurHash3's finaliser (2011).
constexpr std::uint64_t scatter(std::uint64_t n) noexcept {
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
  return n ^ n >> 27;
}

/// A number that nobody else knows. Where the kernel has none yet, from what it gave the process for its start.
inline std::uint64_t process_secret() noexcept {
  std::uint64_t secret = 0;
  if (::getrandom(&secret, sizeof secret, GRND_NONBLOCK) == static_cast<ssize_t>(sizeof secret)) return secret;
  std::uint64_t halves[2] = {};
  if (const auto* const random = reinterpret_cast<const void*>(::getauxval(AT_RANDOM))) {
    std::memcpy(halves, random, sizeof halves);
  }
  return scatter(halves[0] ^ scatter(halves[1]));
}

}  // namespace miniheap::detail

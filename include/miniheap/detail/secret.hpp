// SPDX-License-Identifier: BSL-1.0
/// \file
/// Numbers that nobody foresees.
#pragma once

#include <miniheap/detail/units.hpp>

#include <sys/auxv.h>

#include <cstring>

namespace miniheap::detail {

/// A number that other processes do not know: from the kernel, without a system call.
inline std::uint64_t process_secret() noexcept {
  std::uint64_t secret = 0;
  if (const auto* const random = reinterpret_cast<const void*>(::getauxval(AT_RANDOM))) {
    std::memcpy(&secret, random, sizeof secret);
  }
  return secret;
}

/// Scatters a number over all 64 bits: the second half of D. Stafford's variant 13 of MurmurHash3's finaliser (2011).
constexpr std::uint64_t scatter(std::uint64_t n) noexcept {
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
  return n ^ n >> 27;
}

}  // namespace miniheap::detail

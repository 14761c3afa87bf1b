// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace workload {

/// A linear congruence of which the high half is used: the same numbers in each process, at three instructions.
class numbers {
 public:
  numbers() noexcept = default;
  explicit numbers(std::uint64_t seed) noexcept : state_{seed * golden + 1} {}

  std::uint64_t next() noexcept {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return state_ >> 32;
  }

  std::uint64_t next64() noexcept {
    const std::uint64_t high = next();
    return high << 32 | next();
  }

  std::size_t below(std::size_t bound) noexcept { return static_cast<std::size_t>((next() * bound) >> 32); }

  std::size_t between(std::size_t low, std::size_t high) noexcept { return low + below(high - low + 1); }

 private:
  static constexpr std::uint64_t golden = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio

  std::uint64_t state_ = golden;
};

}  // namespace workload

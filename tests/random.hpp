// SPDX-License-Identifier: BSL-1.0
// Random numbers that are the same on every machine for one seed.
#pragma once

#include <cstddef>
#include <cstdint>

/// The generator splitmix64 of G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) noexcept : state_{seed} {}

  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// 0 to `limit` - 1.
  template <class Unsigned>
  Unsigned below(Unsigned limit) noexcept {
    return static_cast<Unsigned>(next() % limit);
  }

  /// `low` to `high`, both included.
  template <class Unsigned>
  Unsigned between(Unsigned low, Unsigned high) noexcept {
    return static_cast<Unsigned>(low + next() % (std::uint64_t{high} - low + 1));
  }

  bool one_in(std::uint64_t n) noexcept { return next() % n == 0; }

 private:
  std::uint64_t state_;
};

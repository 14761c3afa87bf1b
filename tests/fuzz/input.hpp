// SPDX-License-Identifier: BSL-1.0
// The bytes that a fuzzer made up, read as numbers. Where there are no more, all numbers are 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fuzz {

class input {
 public:
  explicit input(std::span<const std::uint8_t> bytes) noexcept : bytes_{bytes} {}

  [[nodiscard]] bool is_at_end() const noexcept { return bytes_.empty(); }

  std::size_t byte() noexcept {
    if (bytes_.empty()) return 0;
    const std::size_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }

  /// 0 to `limit` - 1, of as few bytes as are enough.
  std::size_t below(std::size_t limit) noexcept {
    std::size_t number = byte();
    for (std::size_t most = 256; most < limit; most *= 256) number = number * 256 + byte();
    return number % limit;
  }

  /// `low` to `high`, both included.
  std::size_t between(std::size_t low, std::size_t high) noexcept { return low + below(high - low + 1); }

  bool one_in(std::size_t n) noexcept { return below(n) == n - 1; }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace fuzz

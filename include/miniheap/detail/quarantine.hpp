// SPDX-License-Identifier: BSL-1.0
/// \file
/// What was freed waits for a while before it is used again, so that a use after free, or a second free, meets nobody
/// else's memory. First in, first out, bounded in bytes.
#pragma once

#include <miniheap/detail/size_class.hpp>
#include <miniheap/detail/units.hpp>

#include <array>

namespace miniheap::detail {

/// One thread at a time works with it; others may ask how much waits. All zero is an empty one.
class quarantine {
 public:
  static constexpr std::uint32_t most = 512;

  /// Takes in what has a stock class. Calls `release(p, stock class)` for what has waited long enough, which may be
  /// `p`.
  template <class Release>
  void add(void* p, std::uint32_t c, std::size_t limit_bytes, Release release) noexcept {
    entry(last_) = std::uint64_t{address_of(p)} << class_bits | c;
    set(last_, last_ + 1);
    set(bytes_, bytes_ + bytes_of_stock_class(c));
    while (bytes_ > limit_bytes || last_ - first_ == most) release_oldest(release);
  }

  /// Calls `release(p, stock class)` for everything.
  template <class Release>
  void flush(Release release) noexcept {
    while (first_ != last_) release_oldest(release);
  }

  /// \name What waits; other threads may ask, and get what was true a moment ago.
  ///@{
  [[nodiscard]] std::size_t slots() const noexcept {
    const std::uint32_t count = __atomic_load_n(&last_, __ATOMIC_RELAXED) - __atomic_load_n(&first_, __ATOMIC_RELAXED);
    return count < most ? count : 0;  // the owner went on in between
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return __atomic_load_n(&bytes_, __ATOMIC_RELAXED); }
  ///@}

 private:
  static constexpr std::uint32_t class_bits = 8;
  static_assert(stock_classes < 1u << class_bits);

  std::uint64_t& entry(std::uint32_t n) noexcept { return entries_[n % most]; }

  template <class N>
  static void set(N& counter, N value) noexcept {
    __atomic_store_n(&counter, value, __ATOMIC_RELAXED);
  }

  template <class Release>
  void release_oldest(Release& release) noexcept {
    const std::uint64_t oldest = entry(first_);
    const auto c = static_cast<std::uint32_t>(oldest & ((1u << class_bits) - 1));
    set(first_, first_ + 1);
    set(bytes_, bytes_ - bytes_of_stock_class(c));
    release(reinterpret_cast<void*>(oldest >> class_bits), c);
  }

  std::uint32_t first_ = 0;  // counts up; what is here are entries first_ to last_ - 1
  std::uint32_t last_ = 0;
  std::size_t bytes_ = 0;
  std::array<std::uint64_t, most> entries_{};  // address and stock class
};

}  // namespace miniheap::detail

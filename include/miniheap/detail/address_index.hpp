// SPDX-License-Identifier: BSL-1.0
/// \file
/// Answers "is there a miniheap of this arena at this address" without reading memory at the address: a hash table of
/// addresses with open addressing, at most half full, and in front of it the ones that were asked for last. Those may
/// be asked for without a lock: an answer concerns a pointer that the asking thread holds, whose miniheap neither comes
/// nor goes meanwhile.
#pragma once

#include <miniheap/detail/units.hpp>

namespace miniheap::detail {

template <std::size_t MiniheapBytes>
class address_index {
 public:
  address_index() noexcept { forget_recent(); }
  address_index(const address_index&) = delete;
  address_index& operator=(const address_index&) = delete;

  /// Whether a miniheap starts at `base`. O(1).
  [[nodiscard]] bool contains(std::uintptr_t base) const noexcept { return contains_recently(base) || find(base); }

  /// Whether it is among those that were asked for lately: one load.
  [[nodiscard, gnu::always_inline]] bool contains_recently(std::uintptr_t base) const noexcept {
    return __atomic_load_n(&recent_[recent_place_of(base)], __ATOMIC_RELAXED) == base;
  }

  /// Makes room for one more address. False: no memory, nothing has changed. Amortised O(1).
  template <class Supply>
  bool reserve(Supply& supply) noexcept {
    retry_unmap(supply);
    if (2 * (size_ + 1) <= mask_ + 1) return true;
    const std::size_t places =
        2 * (mask_ + 1) > page_bytes / sizeof *table_ ? 2 * (mask_ + 1) : page_bytes / sizeof *table_;
    void* const memory = supply.map(places * sizeof *table_, page_bytes);
    if (memory == nullptr) return false;
    std::uintptr_t* const old = table_;
    const std::size_t old_places = mask_ + 1;
    table_ = static_cast<std::uintptr_t*>(memory);
    mask_ = places - 1;
    size_ = 0;
    for (std::size_t i = 0; i < places; ++i) table_[i] = 0;
    for (std::size_t i = 0; i < old_places; ++i) {
      if (old[i] != 0) insert(old[i]);
    }
    unmap(supply, old, old_places);
    return true;
  }

  /// After a `reserve`; the address is not in the table. O(1).
  void insert(std::uintptr_t base) noexcept {
    std::size_t i = place_of(base);
    while (table_[i] != 0) i = next(i);
    table_[i] = base;
    ++size_;
    set_recent(base, base);
  }

  /// The address is in the table. What follows it moves up, so that no gap cuts it off. O(1).
  void erase(std::uintptr_t base) noexcept {
    std::size_t gap = place_of(base);
    while (table_[gap] != base) gap = next(gap);
    for (std::size_t i = next(gap); table_[i] != 0; i = next(i)) {
      const std::size_t away = (i - place_of(table_[i])) & mask_;
      if (away >= ((i - gap) & mask_)) {
        table_[gap] = table_[i];
        gap = i;
      }
    }
    table_[gap] = 0;
    --size_;
    set_recent(base, nobody);
  }

  /// Forgets everything and gives the table back.
  template <class Supply>
  void release(Supply& supply) noexcept {
    retry_unmap(supply);
    unmap(supply, table_, mask_ + 1);
    for (std::uintptr_t& place : first_) place = 0;
    table_ = first_;
    mask_ = first_places - 1;
    size_ = 0;
    forget_recent();
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return stuck_bytes_ + own_bytes(); }

 private:
  static constexpr std::size_t first_places = 16;
  static constexpr std::size_t recent_places = 256;
  static constexpr std::uintptr_t nobody = 1;  // no miniheap is there

  static constexpr std::size_t recent_place_of(std::uintptr_t base) noexcept {
    return base / MiniheapBytes % recent_places;
  }

  void forget_recent() noexcept {
    for (std::size_t i = 0; i < recent_places; ++i) set_recent(i * MiniheapBytes, nobody);
  }

  void set_recent(std::uintptr_t base, std::uintptr_t value) const noexcept {
    __atomic_store_n(&recent_[recent_place_of(base)], value, __ATOMIC_RELAXED);
  }

  bool find(std::uintptr_t base) const noexcept {
    for (std::size_t i = place_of(base);; i = next(i)) {
      if (table_[i] == 0) return false;
      if (table_[i] == base) break;
    }
    set_recent(base, base);
    return true;
  }

  [[nodiscard]] std::size_t next(std::size_t i) const noexcept { return (i + 1) & mask_; }

  [[nodiscard]] std::size_t place_of(std::uintptr_t base) const noexcept {
    return static_cast<std::size_t>(base / MiniheapBytes * 0x9e3779b97f4a7c15u >> 40) & mask_;  // 2^64 / golden ratio
  }

  [[nodiscard]] std::size_t own_bytes() const noexcept { return table_ == first_ ? 0 : (mask_ + 1) * sizeof *table_; }

  /// A table that the page source will not take back waits in a list: its first words are the next one and its size.
  template <class Supply>
  void unmap(Supply& supply, std::uintptr_t* table, std::size_t places) noexcept {
    const std::size_t bytes = places * sizeof *table;
    if (table == first_ || supply.unmap(table, bytes)) return;
    table[0] = address_of(stuck_);
    table[1] = places;
    stuck_ = table;
    stuck_bytes_ += bytes;
  }

  template <class Supply>
  void retry_unmap(Supply& supply) noexcept {
    std::uintptr_t* rest = stuck_;
    stuck_ = nullptr;
    stuck_bytes_ = 0;
    while (rest != nullptr) {
      std::uintptr_t* const table = rest;
      rest = reinterpret_cast<std::uintptr_t*>(table[0]);
      unmap(supply, table, table[1]);
    }
  }

  mutable std::uintptr_t recent_[recent_places];  // some that are in the table, each at the only place where it can be
  std::uintptr_t* table_ = first_;                // 0: free place
  std::size_t mask_ = first_places - 1;
  std::size_t size_ = 0;
  std::uintptr_t* stuck_ = nullptr;  // tables that wait to be unmapped
  std::size_t stuck_bytes_ = 0;
  std::uintptr_t first_[first_places] = {};
};

}  // namespace miniheap::detail

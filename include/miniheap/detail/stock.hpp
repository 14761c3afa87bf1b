// SPDX-License-Identifier: BSL-1.0
/// \file
/// What one thread keeps in stock of one arena: a bin, a stack of pointers, for each stock class. A bin grows with use,
/// within a budget in bytes for all bins together; one that was not used for a while is emptied.
///
/// To the arena what is in stock is in use. One thread works with a stock; others may ask how much is in it.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/size_class.hpp>

#include <cstring>

namespace miniheap::detail {

/// The most slots that a bin holds: 128 KiB of them, and no more than two pages of pointers.
constexpr std::uint32_t stock_capacity(std::uint32_t c) noexcept {
  const auto slots = static_cast<std::uint32_t>(128 * KiB / bytes_of_stock_class(c));
  return slots < 4 ? 4 : slots < 1024 ? slots : 1024;
}

/// The memory for the arrays of a stock, enough for every bin to grow to its capacity. An array that has become too
/// small is left behind: as each was twice as long as the one before, all that a bin leaves behind is less than twice
/// its capacity.
inline constexpr std::size_t stock_array_bytes = [] {
  std::size_t sum = 0;
  for (std::uint32_t c = 0; c < stock_classes; ++c) sum += 3 * sizeof(void*) * (stock_capacity(c) + 1);
  return sum;
}();

class stock {
 public:
  /// The bins' arrays lie in `stock_array_bytes` bytes of zeroed or unused memory at `arrays`, which are touched as
  /// bins grow.
  explicit stock(void** arrays) noexcept : next_array_{arrays} {}
  stock(const stock&) = delete;
  stock& operator=(const stock&) = delete;

  [[nodiscard, gnu::always_inline]] bool is_empty(std::uint32_t c) const noexcept { return bins_[c].count == 0; }
  [[nodiscard, gnu::always_inline]] bool is_full(std::uint32_t c) const noexcept {
    return bins_[c].count >= bins_[c].limit;
  }

  /// Whether the bin is in use at all.
  [[nodiscard]] bool has_limit(std::uint32_t c) const noexcept { return bins_[c].limit != 0; }

  /// From a bin that is not empty.
  [[nodiscard, gnu::always_inline]] void* take(std::uint32_t c) noexcept {
    bin& b = bins_[c];
    const std::uint32_t count = b.count - 1;
    set_count(b, count);
    return b.slots[count];
  }

  /// Into a bin that is not full.
  [[gnu::always_inline]] void put(std::uint32_t c, void* slot) noexcept {
    bin& b = bins_[c];
    b.slots[b.count] = slot;
    set_count(b, b.count + 1);
  }

  /// Whether it is what was put last into a bin that has a limit: the double free that happens most.
  [[nodiscard, gnu::always_inline]] bool was_put_last(std::uint32_t c, const void* slot) const noexcept {
    const bin& b = bins_[c];
    return b.slots[std::size_t{b.count} - 1] == slot;
  }

  /// Fills an empty bin from the arena and takes a slot; nullptr: no memory. The bin may grow by `budget_bytes`' leave.
  template <class Arena>
  void* refill(Arena& arena, std::uint32_t c, std::size_t budget_bytes) noexcept {
    visit(arena);
    grow(c, budget_bytes);
    bin& b = bins_[c];
    b.was_refilled = true;
    void* alone = nullptr;
    if (b.limit < 2) return arena.allocate_batch(c, &alone, 1) != 0 ? alone : nullptr;
    const std::uint32_t count = arena.allocate_batch(c, b.slots, (b.limit + 1u) / 2);
    if (count == 0) return nullptr;
    set_count(b, count);
    return take(c);
  }

  /// Puts a slot into a full bin: it grows, or half of it, what was put first, goes back to the arena. One that is only
  /// freed into shrinks to what makes a batch, so that a thread that has freed all keeps little. `slot` was the
  /// program's.
  template <class Arena>
  void overflow(Arena& arena, std::uint32_t c, void* slot, std::size_t budget_bytes) noexcept {
    visit(arena);
    bin& b = bins_[c];
    if (b.was_refilled || b.limit < batch_limit(c)) {
      grow(c, budget_bytes);
    } else if (b.limit > batch_limit(c)) {
      give(arena, c, (b.count + 1) / 2);
      limit_bytes_ -= (b.limit + 1u) / 2 * bytes_of_stock_class(c);
      b.limit /= 2;
    }
    b.was_refilled = false;
    if (b.limit == 0) return arena.deallocate_batch(c, &slot, 1);
    if (is_full(c)) give(arena, c, (b.count + 1) / 2);
    put(c, slot);
  }

  /// Gives everything back to the arena.
  template <class Arena>
  void flush(Arena& arena) noexcept {
    for (std::uint32_t c = 0; c < stock_classes; ++c) give(arena, c, bins_[c].count);
  }

  /// \name What is in stock; other threads may ask, and get what was true a moment ago.
  ///@{
  [[nodiscard]] std::size_t slots() const noexcept {
    std::size_t sum = 0;
    for (const bin& b : bins_) sum += count_of(b);
    return sum;
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    std::size_t sum = 0;
    for (std::uint32_t c = 0; c < stock_classes; ++c) sum += std::size_t{count_of(bins_[c])} * bytes_of_stock_class(c);
    return sum;
  }
  ///@}

  [[nodiscard]] const char* check() const noexcept {
    std::size_t bytes = 0;
    for (std::uint32_t c = 0; c < stock_classes; ++c) {
      const bin& b = bins_[c];
      if (b.count > b.limit || b.limit > b.capacity || b.capacity > stock_capacity(c))
        return "a bin holds no more than its limit, which is no more than its array has room for";
      bytes += std::size_t{b.limit} * bytes_of_stock_class(c);
    }
    return bytes == limit_bytes_ ? nullptr : "the limits of the bins are added up";
  }

 private:
  struct bin {
    void** slots = nullptr;      // the word before it is nullptr, where `limit` is not 0
    std::uint32_t count = 0;     // written by the owner alone
    std::uint16_t limit = 0;     // 0: not used lately, or no budget
    std::uint16_t capacity = 0;  // of the array at `slots`
    std::uint32_t last_count = 0;
    bool was_refilled = false;  // since it was last full
  };

  static constexpr std::uint32_t visits_between_sweeps = 64;

  static constexpr std::uint32_t limit_of(std::uint32_t c, std::uint32_t least, std::uint32_t most) noexcept {
    const auto slots = static_cast<std::uint32_t>(8 * KiB / bytes_of_stock_class(c));
    return slots < least ? least : slots < most ? slots : most;
  }
  static constexpr std::uint32_t first_limit(std::uint32_t c) noexcept { return limit_of(c, 2, 8); }
  static constexpr std::uint32_t batch_limit(std::uint32_t c) noexcept { return limit_of(c, 2, 64); }

  static void set_count(bin& b, std::uint32_t count) noexcept { __atomic_store_n(&b.count, count, __ATOMIC_RELAXED); }
  static std::uint32_t count_of(const bin& b) noexcept { return __atomic_load_n(&b.count, __ATOMIC_RELAXED); }

  /// Doubles what a bin may hold, if the budget allows it.
  void grow(std::uint32_t c, std::size_t budget_bytes) noexcept {
    bin& b = bins_[c];
    std::uint32_t limit = b.limit == 0 ? first_limit(c) : 2u * b.limit;
    if (limit > stock_capacity(c)) limit = stock_capacity(c);
    const std::size_t more_bytes = std::size_t{limit - b.limit} * bytes_of_stock_class(c);
    if (more_bytes == 0 || limit_bytes_ + more_bytes > budget_bytes) return;
    if (limit > b.capacity) {
      *next_array_++ = nullptr;
      if (b.count != 0) std::memcpy(next_array_, b.slots, b.count * sizeof(void*));
      b.slots = next_array_;
      b.capacity = static_cast<std::uint16_t>(limit);
      next_array_ += limit;
    }
    b.limit = static_cast<std::uint16_t>(limit);
    limit_bytes_ += more_bytes;
  }

  /// Now and then, on the slow path, bins that were not used since the last time are emptied.
  template <class Arena>
  void visit(Arena& arena) noexcept {
    if (++visits_ % visits_between_sweeps != 0) return;
    for (std::uint32_t c = 0; c < stock_classes; ++c) {
      bin& b = bins_[c];
      if (b.limit != 0 && b.count == b.last_count && !b.was_refilled) {
        give(arena, c, b.count);
        limit_bytes_ -= std::size_t{b.limit} * bytes_of_stock_class(c);
        b.limit = 0;
      }
      b.was_refilled = false;
      b.last_count = b.count;
    }
  }

  /// Gives the slots back that were put first.
  template <class Arena>
  void give(Arena& arena, std::uint32_t c, std::uint32_t count) noexcept {
    if (count == 0) return;
    bin& b = bins_[c];
    arena.deallocate_batch(c, b.slots, count);
    std::memmove(b.slots, b.slots + count, (b.count - count) * sizeof(void*));
    set_count(b, b.count - count);
  }

  bin bins_[stock_classes];
  void** next_array_;
  std::size_t limit_bytes_ = 0;  // the sum of all limits
  std::uint32_t visits_ = 0;
};

}  // namespace miniheap::detail

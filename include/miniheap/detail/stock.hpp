// SPDX-License-Identifier: BSL-1.0
/// \file
/// What one thread keeps in stock of one arena: a bin, a stack of pointers, for each stock class. A bin grows with use,
/// within a budget in bytes for all bins together; one that was not used for a while is emptied.
///
/// To the arena what is in stock is in use. One thread works with a stock; others may ask how much is in it.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/size_class.hpp>

#include <algorithm>
#include <cassert>
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
  std::size_t sum = sizeof(void*);
  for (std::uint32_t c = 0; c < stock_classes; ++c) sum += 3 * sizeof(void*) * (stock_capacity(c) + 1);
  return sum;
}();

class stock {
 public:
  /// The bins' arrays lie in `stock_array_bytes` bytes of zeroed or unused memory at `arrays`, which are touched as
  /// bins grow. Slots come from slabs of `lane`, as far as there are any.
  explicit stock(void** arrays, std::uint32_t lane = 0) noexcept : next_array_{arrays}, lane_{lane} {
    *next_array_++ = nullptr;
    for (bin& b : bins_) b.top = b.end = next_array_;
    for (record& r : records_) r.slots = next_array_;
  }
  stock(const stock&) = delete;
  stock& operator=(const stock&) = delete;

  [[nodiscard]] std::uint32_t lane() const noexcept { return lane_; }

  /// A slot of the bin; nullptr: it is empty.
  [[nodiscard, gnu::always_inline]] void* try_take(std::size_t c) noexcept {
    bin& b = bins_[c];
    void** const top = b.top;
    void* const slot = top[-1];
    if (slot != nullptr) [[likely]]
      set_top(b, top - 1);
    return slot;
  }

  /// Puts a slot into the bin, if `may_be_put()`, which is asked only while the bin is not full. False: it was not.
  template <class Condition>
  [[nodiscard, gnu::always_inline]] bool try_put(std::size_t c, void* slot, Condition may_be_put) noexcept {
    bin& b = bins_[c];
    void** const top = b.top;
    if (top >= b.end || !may_be_put()) [[unlikely]]
      return false;
    *top = slot;
    set_top(b, top + 1);
    return true;
  }
  [[nodiscard, gnu::always_inline]] bool try_put(std::size_t c, void* slot) noexcept {
    return try_put(c, slot, [] { return true; });
  }

  /// Fills an empty bin from the arena and takes a slot; nullptr: no memory. The bin may grow by `budget_bytes`' leave.
  /// While the arena is sparse it takes few, and is closed: what the program frees meanwhile goes back, for the arena
  /// to fill up full slabs first. In stock it would stay where it is, and traffic would never pack what survived a
  /// spike.
  template <class Arena>
  void* refill(Arena& arena, std::uint32_t c, std::size_t budget_bytes) noexcept {
    visit(arena);
    const bool is_closed = arena.was_sparse();
    if (!is_closed || records_[c].capacity == 0) {
      grow(c, budget_bytes);
    } else {
      set_limit(c, first_limit(c));
    }
    records_[c].refilled = frees_after_refill;
    void* alone = nullptr;
    if (limit(c) < 2) return arena.allocate_batch(c, &alone, 1, lane_) != 0 ? alone : nullptr;
    void** const slots = records_[c].slots;
    void** const top = slots + arena.allocate_batch(c, slots, (limit(c) + 1) / 2, lane_);
    std::reverse(slots, top);  // an arena gives rising addresses, which caches foresee, and the last one is taken first
    set_top(bins_[c], top);
    if (is_closed) set_limit(c, 0);
    return try_take(c);
  }

  /// Puts a slot into a full bin: it grows, or half of it, what was put first, goes back to the arena. One that is only
  /// freed into shrinks to what makes a batch, so that a thread that has freed all keeps little. What is freed into a
  /// bin that was not in use goes back: it is likely another thread's, and lies beside what that one uses. While the
  /// arena is sparse, so does all that is freed into a bin which was lately refilled. `slot` was the program's.
  template <class Arena>
  void overflow(Arena& arena, std::uint32_t c, void* slot, std::size_t budget_bytes) noexcept {
    visit(arena);
    record& r = records_[c];
    const bool is_new = limit(c) == 0;
    if (arena.was_sparse() && (r.refilled != 0 || limit(c) >= first_limit(c))) {
      if (r.refilled != 0) {
        --r.refilled;
        set_limit(c, 0);
        return arena.deallocate_batch(c, &slot, 1);
      }
      give(arena, c, count(c));
      set_limit(c, first_limit(c));
    } else if (r.refilled != 0 || limit(c) < batch_limit(c)) {
      grow(c, budget_bytes);
    } else if (limit(c) > batch_limit(c)) {
      give(arena, c, half(c));
      set_limit(c, limit(c) / 2);
    }
    r.refilled = 0;
    if (is_new) return arena.deallocate_batch(c, &slot, 1);
    if (try_put(c, slot)) return;
    give(arena, c, half(c));  // what is left may be above the limit still, of a bin that was closed while it was full
    assert(count(c) < r.capacity && "half of the array is unused");
    *bins_[c].top = slot;
    set_top(bins_[c], bins_[c].top + 1);
  }

  /// Gives everything back to the arena.
  template <class Arena>
  void flush(Arena& arena) noexcept {
    for (std::uint32_t c = 0; c < stock_classes; ++c) give(arena, c, count(c));
  }

  /// \name What is in stock; other threads may ask, and get what was true a moment ago.
  ///@{
  [[nodiscard]] std::size_t slots() const noexcept {
    std::size_t sum = 0;
    for (std::uint32_t c = 0; c < stock_classes; ++c) sum += count(c);
    return sum;
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    std::size_t sum = 0;
    for (std::uint32_t c = 0; c < stock_classes; ++c) sum += std::size_t{count(c)} * bytes_of_stock_class(c);
    return sum;
  }
  ///@}

  [[nodiscard]] const char* check() const noexcept {
    std::size_t bytes = 0;
    for (std::uint32_t c = 0; c < stock_classes; ++c) {
      const bin& b = bins_[c];
      const record& r = records_[c];
      if (r.slots > b.top || count(c) > r.capacity || limit(c) > r.capacity || r.capacity > stock_capacity(c))
        return "a bin holds no more than its array has room for, and neither is its limit more";
      if (r.slots[-1] != nullptr) return "nullptr stands below a bin's slots";
      bytes += std::size_t{limit(c)} * bytes_of_stock_class(c);
    }
    return bytes == limit_bytes_ ? nullptr : "the limits of the bins are added up";
  }

 private:
  /// What most calls need of a bin.
  struct bin {
    void** top;  // behind the slot that was put last; below the first stands nullptr. Written by the owner alone
    void** end;  // where the limit is; none, if the bin was not used lately, is closed, or there is no budget
  };

  /// The rest of it.
  struct record {
    void** slots;                // the array
    std::uint32_t capacity = 0;  // of the array
    std::uint32_t last_count = 0;
    std::uint32_t refilled = 0;  // not 0: since it was last full, or for so many more frees
  };

  static constexpr std::uint32_t visits_between_sweeps = 64;
  static constexpr std::uint32_t frees_after_refill = 16;

  static constexpr std::uint32_t limit_of(std::uint32_t c, std::uint32_t least, std::uint32_t most) noexcept {
    const auto slots = static_cast<std::uint32_t>(8 * KiB / bytes_of_stock_class(c));
    return slots < least ? least : slots < most ? slots : most;
  }
  static constexpr std::uint32_t first_limit(std::uint32_t c) noexcept { return limit_of(c, 2, 8); }
  static constexpr std::uint32_t batch_limit(std::uint32_t c) noexcept { return limit_of(c, 2, 64); }

  [[gnu::always_inline]] static void set_top(bin& b, void** top) noexcept {
    __atomic_store_n(&b.top, top, __ATOMIC_RELAXED);
  }

  /// How many slots the bin has; any thread may ask. A bin that grows gets its new array first, and then its top, which
  /// lies above the old one.
  [[nodiscard]] std::uint32_t count(std::uint32_t c) const noexcept {
    const std::uintptr_t top = address_of(__atomic_load_n(&bins_[c].top, __ATOMIC_ACQUIRE));
    const std::uintptr_t slots = address_of(__atomic_load_n(&records_[c].slots, __ATOMIC_RELAXED));
    return top < slots ? 0 : static_cast<std::uint32_t>((top - slots) / sizeof(void*));
  }

  [[nodiscard]] std::uint32_t limit(std::uint32_t c) const noexcept {
    return static_cast<std::uint32_t>(bins_[c].end - records_[c].slots);
  }

  void set_limit(std::uint32_t c, std::uint32_t slots) noexcept {
    limit_bytes_ -= limit(c) * bytes_of_stock_class(c);
    limit_bytes_ += slots * bytes_of_stock_class(c);
    bins_[c].end = records_[c].slots + slots;
  }

  /// Half of what is in a bin.
  [[nodiscard]] std::uint32_t half(std::uint32_t c) const noexcept { return (count(c) + 1) / 2; }

  /// Doubles what a bin may hold, if the budget allows it.
  void grow(std::uint32_t c, std::size_t budget_bytes) noexcept {
    std::uint32_t wanted = limit(c) == 0 ? first_limit(c) : 2 * limit(c);
    if (wanted > stock_capacity(c)) wanted = stock_capacity(c);
    const std::size_t more_bytes = (wanted - limit(c)) * bytes_of_stock_class(c);
    if (more_bytes == 0 || limit_bytes_ + more_bytes > budget_bytes) return;
    if (wanted > records_[c].capacity) move_to_new_array(c, wanted);
    set_limit(c, wanted);
  }

  void move_to_new_array(std::uint32_t c, std::uint32_t capacity) noexcept {
    bin& b = bins_[c];
    record& r = records_[c];
    const std::uint32_t slots = count(c);
    const std::uint32_t slots_limit = limit(c);
    *next_array_++ = nullptr;
    std::memcpy(next_array_, r.slots, slots * sizeof(void*));
    __atomic_store_n(&r.slots, next_array_, __ATOMIC_RELAXED);
    __atomic_store_n(&b.top, next_array_ + slots, __ATOMIC_RELEASE);
    b.end = next_array_ + slots_limit;
    r.capacity = capacity;
    next_array_ += capacity;
  }

  /// Now and then, on the slow path, bins that were not used since the last time are emptied.
  template <class Arena>
  void visit(Arena& arena) noexcept {
    if (++visits_ % visits_between_sweeps != 0) return;
    for (std::uint32_t c = 0; c < stock_classes; ++c) {
      record& r = records_[c];
      if (limit(c) + count(c) != 0 && count(c) == r.last_count && r.refilled == 0) {
        give(arena, c, count(c));
        set_limit(c, 0);
      }
      r.refilled = arena.was_sparse() ? r.refilled / 2 : 0;
      r.last_count = count(c);
    }
  }

  /// Gives the slots back that were put first.
  template <class Arena>
  void give(Arena& arena, std::uint32_t c, std::uint32_t slots_to_give) noexcept {
    if (slots_to_give == 0) return;
    void** const slots = records_[c].slots;
    const std::uint32_t rest = count(c) - slots_to_give;
    arena.deallocate_batch(c, slots, slots_to_give);
    std::memmove(slots, slots + slots_to_give, rest * sizeof(void*));
    set_top(bins_[c], slots + rest);
  }

  bin bins_[stock_classes];
  record records_[stock_classes];
  void** next_array_;
  std::size_t limit_bytes_ = 0;  // the sum of all limits
  std::uint32_t visits_ = 0;
  std::uint32_t lane_;
};

}  // namespace miniheap::detail

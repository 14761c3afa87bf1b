// SPDX-License-Identifier: BSL-1.0
/// \file
/// A depot between the stocks of all threads and their arena. What overflows one stock in full **magazines** refills
/// another one, without the arena: so what crosses threads need not be freed slot by slot and allocated again.
///
/// It has an arena's batch functions. To the arena what is in it is in use. It keeps a magazine only of a size class
/// that another thread asked for in vain before, and not for long if nobody asks again.
#pragma once

#include <miniheap/detail/page_supply.hpp>
#include <miniheap/detail/stock.hpp>
#include <miniheap/policy/lock.hpp>

namespace miniheap::detail {

/// Its lock is taken before the arena's.
template <class Arena>
class depot {
 public:
  explicit depot(Arena& arena) noexcept : arena_{arena} {}
  depot(const depot&) = delete;
  depot& operator=(const depot&) = delete;

  /// Up to `want` allocations of the stock class, at least one; 0: no memory. O(allocations) mostly.
  std::uint32_t allocate_batch(std::uint32_t c, void** batch, std::uint32_t want) noexcept {
    const bool is_kept = is_slot_class(c) && !is_passed_by() && want >= magazine_slots(c);
    const std::uint32_t count = is_kept ? take(c, batch, want) : 0;
    return count != 0 ? count : arena_.allocate_batch(c, batch, want);
  }

  /// Each is of the stock class. O(allocations) mostly.
  void deallocate_batch(std::uint32_t c, void* const* batch, std::uint32_t count) noexcept {
    const bool is_kept = is_slot_class(c) && !is_passed_by() && count >= magazine_slots(c);
    const std::uint32_t kept = is_kept ? keep(c, batch, count) : 0;
    if (kept != count) arena_.deallocate_batch(c, batch + kept, count - kept);
  }

  [[nodiscard]] bool was_sparse() const noexcept { return arena_.was_sparse(); }

  /// Gives everything back to the arena.
  void flush() noexcept {
    for (std::uint32_t c = 0; c < size_classes && slots() != 0; ++c) give(c);
  }

  /// Gives the memory for magazines back, if all are spare.
  void give_back_spares() noexcept {
    const guard locked{*this};
    if (memory_ == nullptr || slots() != 0 || !arena_.unmap_metadata(memory_, memory_bytes)) return;
    memory_ = nullptr;
    spares_ = nullptr;
    touched_ = 0;
  }

  /// Forgets what is in it: the arena is about to go, or to be as new. Nobody is inside a call.
  void drop() noexcept {
    for (std::uint32_t c = 0; c < size_classes; ++c) {
      while (shelves_[c].first != nullptr) remove(c);
      shelves_[c] = {};
    }
    give_back_spares();
  }

  /// Nobody takes or keeps between the two: for a fork, which copies it as it is.
  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }

  /// \name What is in it; any thread may ask, and gets what was true a moment ago.
  ///@{
  [[nodiscard]] std::size_t slots() const noexcept { return __atomic_load_n(&slots_, __ATOMIC_RELAXED); }
  [[nodiscard]] std::size_t bytes() const noexcept { return __atomic_load_n(&bytes_, __ATOMIC_RELAXED); }
  ///@}

  [[nodiscard]] const char* check() noexcept {
    const guard locked{*this};
    std::size_t slots = 0;
    std::size_t bytes = 0;
    std::size_t magazines = 0;
    for (std::uint32_t c = 0; c < size_classes; ++c) {
      std::size_t on_shelf = 0;
      for (const magazine* m = shelves_[c].first; m != nullptr; m = m->next) ++on_shelf;
      if (on_shelf != shelves_[c].count) return "the magazines of a size class are counted";
      if (shelves_[c].wanted > most_wanted) return "only so many magazines are wanted";
      slots += on_shelf * magazine_slots(c);
      bytes += on_shelf * magazine_bytes(c);
      magazines += on_shelf;
    }
    for (const magazine* m = spares_; m != nullptr; m = m->next) ++magazines;
    if (magazines != touched_ || touched_ > most_magazines) return "each magazine is on a shelf or spare";
    return slots == slots_ && bytes == bytes_ && bytes <= most_bytes ? nullptr : "what is in the depot is added up";
  }

 private:
  struct magazine {
    magazine* next;
    void* slots[most_magazine_slots];
  };

  /// What is kept of one size class.
  struct shelf {
    magazine* first = nullptr;
    std::uint32_t count = 0;      // magazines
    std::uint32_t wanted = 0;     // the most there may be: grows with each call that finds none
    std::uint32_t brought = 0;    // calls that brought some since the last one that asked
    const void* asker = nullptr;  // the thread that asked last
    bool was_asked = false;       // since the last sweep
  };

  struct guard {
    explicit guard(depot& locked) noexcept : depot_{locked} { depot_.lock(); }
    ~guard() { depot_.unlock(); }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    depot& depot_;
  };

  static constexpr std::size_t most_bytes = 512 * KiB;
  static constexpr std::size_t memory_bytes = 32 * KiB;
  static constexpr std::uint32_t most_magazines = memory_bytes / sizeof(magazine);
  static constexpr std::uint32_t most_wanted = 16;
  static constexpr std::uint32_t most_brought = 16;
  static constexpr std::uint32_t calls_between_sweeps = 1024;

  static constexpr std::size_t magazine_bytes(std::uint32_t c) noexcept {
    return magazine_slots(c) * bytes_of_stock_class(c);
  }

  /// Where memory is sparse, slots that are handed on would stay where they are.
  bool is_passed_by() noexcept {
    if (!was_sparse()) return false;
    if (slots() != 0) flush();
    return true;
  }

  /// Whole magazines only; 0: there is none, and more are wanted from now on.
  std::uint32_t take(std::uint32_t c, void** batch, std::uint32_t want) noexcept {
    const guard locked{*this};
    shelf& s = shelves_[c];
    s.brought = 0;
    s.was_asked = true;
    __atomic_store_n(&s.asker, this_thread(), __ATOMIC_RELAXED);
    if (s.first == nullptr) s.wanted = smaller(s.wanted + want / magazine_slots(c), most_wanted);
    std::uint32_t count = 0;
    for (; s.first != nullptr && want - count >= magazine_slots(c); count += magazine_slots(c)) {
      std::memcpy(batch + count, s.first->slots, magazine_slots(c) * sizeof(void*));
      remove(c);
    }
    return count;
  }

  /// Whole magazines only, from the beginning of `batch`; how many slots. None of a thread that had asked itself: its
  /// stock is there to keep what it frees and allocates again.
  std::uint32_t keep(std::uint32_t c, void* const* batch, std::uint32_t count) noexcept {
    if (__atomic_add_fetch(&calls_, 1, __ATOMIC_RELAXED) % calls_between_sweeps == 0) sweep();
    shelf& s = shelves_[c];
    if (__atomic_load_n(&s.asker, __ATOMIC_RELAXED) == this_thread()) return 0;
    bool is_unwanted = false;
    std::uint32_t kept = 0;
    {
      const guard locked{*this};
      is_unwanted = ++s.brought > most_brought;
      if (is_unwanted) s.wanted = 0;
      while (s.count < s.wanted && count - kept >= magazine_slots(c) && add(c, batch + kept)) kept += magazine_slots(c);
    }
    if (is_unwanted) give(c);
    return kept;
  }

  /// What nobody asked for since the last time goes back.
  void sweep() noexcept {
    for (std::uint32_t c = 0; c < size_classes; ++c) {
      lock();
      const bool was_asked = shelves_[c].was_asked;
      shelves_[c].was_asked = false;
      if (!was_asked) shelves_[c].wanted = 0;
      unlock();
      if (!was_asked) give(c);
    }
  }

  /// All magazines of a size class go back to the arena.
  void give(std::uint32_t c) noexcept {
    void* batch[most_magazine_slots];
    for (;;) {
      {
        const guard locked{*this};
        if (shelves_[c].first == nullptr) return;
        std::memcpy(batch, shelves_[c].first->slots, sizeof batch);
        remove(c);
      }
      arena_.deallocate_batch(c, batch, magazine_slots(c));
    }
  }

  /// \name With the lock.
  ///@{
  /// False: there is no room, or no memory.
  bool add(std::uint32_t c, void* const* batch) noexcept {
    if (bytes_ + magazine_bytes(c) > most_bytes) return false;
    magazine* const m = new_magazine();
    if (m == nullptr) return false;
    std::memcpy(m->slots, batch, magazine_slots(c) * sizeof(void*));
    m->next = shelves_[c].first;
    shelves_[c].first = m;
    ++shelves_[c].count;
    add_up(slots_ + magazine_slots(c), bytes_ + magazine_bytes(c));
    return true;
  }

  void remove(std::uint32_t c) noexcept {
    magazine* const m = shelves_[c].first;
    shelves_[c].first = m->next;
    --shelves_[c].count;
    m->next = spares_;
    spares_ = m;
    add_up(slots_ - magazine_slots(c), bytes_ - magazine_bytes(c));
  }

  magazine* new_magazine() noexcept {
    if (magazine* const m = spares_) {
      spares_ = m->next;
      return m;
    }
    if (memory_ == nullptr) memory_ = static_cast<magazine*>(arena_.map_metadata(memory_bytes));
    return memory_ != nullptr && touched_ != most_magazines ? &memory_[touched_++] : nullptr;
  }

  void add_up(std::size_t slots, std::size_t bytes) noexcept {
    __atomic_store_n(&slots_, slots, __ATOMIC_RELAXED);
    __atomic_store_n(&bytes_, bytes, __ATOMIC_RELAXED);
  }
  ///@}

  Arena& arena_;
  futex_mutex lock_;
  std::uint32_t calls_ = 0;
  shelf shelves_[size_classes];
  magazine* memory_ = nullptr;  // for all magazines, touched as they are needed
  std::uint32_t touched_ = 0;   // how many of them were ever used
  magazine* spares_ = nullptr;  // a list
  std::size_t slots_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace miniheap::detail

// SPDX-License-Identifier: BSL-1.0
/// \file
/// The **parked** slots of an arena, a few of each lane and size class: each was freed in a slab that is full
/// otherwise, counts as used there, and is the next that a thread of its lane gets when nothing is claimed. So in
/// steady churn over full slabs no bin changes. When a second slot of its slab is freed, both become free.
///
/// A slot may be parked with its bit in the slab's bitmap, or without. Whoever looks at the bitmap without a lock, as
/// thread caches do, sees that it is free where it has its bit; without, no line of the page map is written, which
/// makes replacing one object over and over twice as fast.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/slab.hpp>
#include <miniheap/stats.hpp>

#include <utility>

namespace miniheap::detail {

/// `Shown`: what is parked by `park` has its bit.
template <class Shape, std::uint32_t Lanes, bool Shown>
class parked_slots {
 public:
  /// Parks a slot of a slab, which is full, and no slot of which is parked. False: there are as many as there may be.
  bool park(page_entry& slab, std::uint32_t slot) noexcept {
    const std::uint32_t c = class_of_slab(slab.kind);
    row& r = row_of(slab);
    if (r.count == most_slots(c)) return false;
    std::byte* const p = Shape::memory_of(&slab) + slot * std::size_t{shapes[c].slot_bytes};
    r.slots[r.count++] = p + show(slab, slot);
    return true;
  }

  /// The same without its bit, where none is parked of the lane and size class; false: one is.
  [[gnu::always_inline]] bool park_alone(std::uint32_t lane, std::uint32_t c, void* slot) noexcept {
    row& r = rows_[c][lane % Lanes];
    if (r.count != 0) return false;
    r.slots[r.count++] = slot;
    return true;
  }

  /// The one that was parked last; nullptr: there is none. Where the order is random, any of them, and half of the time
  /// none, or what is freed would be used again at once.
  template <class Order>
  [[nodiscard, gnu::always_inline]] void* try_take(std::uint32_t lane, std::uint32_t c, Order& order) noexcept {
    row& r = rows_[c][lane % Lanes];
    if (r.count == 0 || order.below(2) != 0) return nullptr;
    void* slot = r.slots[--r.count];
    if (Order::is_random) std::swap(slot, r.slots[order.below(r.count + 1)]);
    return is_shown(slot) ? hide(slot) : slot;
  }

  /// The parked slot of a slab, or nullptr.
  [[nodiscard]] void* find_in(const page_entry& slab) const noexcept {
    const row& r = row_of(slab);
    std::uint32_t n = 0;
    while (n != r.count && !is_in(r.slots[n], slab)) ++n;
    return n == r.count ? nullptr : slot_at(r.slots[n]);
  }

  /// Frees the parked slot of a slab, which there is.
  void give_back(page_entry& slab) noexcept {
    row& r = row_of(slab);
    std::uint32_t n = --r.count;
    void* slot = r.slots[n];
    while (!is_in(slot, slab)) std::swap(slot, r.slots[--n]);
    put_back(slab, slot_of(slab, slot));
  }

  /// The same of all; calls `visit(page_entry&)` for each slab, after that.
  template <class Visit>
  void give_all_back(Visit visit) noexcept {
    for (auto& lanes_of_class : rows_) {
      for (row& r : lanes_of_class) {
        while (r.count != 0) {
          page_entry& slab = slab_of(r.slots[r.count - 1]);
          give_back(slab);
          visit(slab);
        }
      }
    }
  }

  /// Which slot of a slab `p` points into.
  [[nodiscard]] static std::uint32_t slot_of(const page_entry& slab, const void* p) noexcept {
    return static_cast<std::uint32_t>(offset_in(slab, p) / shapes[class_of_slab(slab.kind)].slot_bytes);
  }

  [[nodiscard]] check_result check() const noexcept {
    for (std::uint32_t lane = 0; lane < Lanes; ++lane) {
      for (std::uint32_t c = 0; c < size_classes; ++c) {
        const row& r = rows_[c][lane];
        for (std::uint32_t n = 0; n < r.count; ++n) {
          const page_entry& slab = slab_of(r.slots[n]);
          if (slab.kind != slab_of_class(c) || slab.lane != lane)
            return {"a parked slot is of its size class and lane", r.slots[n]};
          if (slab.used != slab.slots) return {"a parked slot counts as used in a slab that is full", r.slots[n]};
          if (bits_of(slab) != (is_shown(r.slots[n]) ? 1 : 0) || is_shown(r.slots[n]) != has_bit(slab, r.slots[n]))
            return {"no other slot of its slab is free, and it is known whether a parked slot has its bit", r.slots[n]};
          for (std::uint32_t other = 0; other < n; ++other) {
            if (is_in(r.slots[other], slab)) return {"one slot of a slab is parked", r.slots[n]};
          }
        }
      }
    }
    return {};
  }

 private:
  static constexpr std::uint32_t most_of_all = 7;

  struct row {
    std::uint32_t count = 0;
    std::array<void*, most_of_all> slots;  // in the order in which they were parked; those with their bit are odd
  };

  static bool is_shown(const void* parked) noexcept { return Shown && address_of(parked) % 2 != 0; }
  static void* slot_at(void* parked) noexcept { return static_cast<std::byte*>(parked) - (is_shown(parked) ? 1 : 0); }

  /// Sets the bit of a slot; what makes its address odd then.
  static std::size_t show(page_entry& slab, std::uint32_t slot) noexcept {
    if constexpr (Shown) slab.free[slot / 64] |= std::uint64_t{1} << slot % 64;
    return Shown ? 1 : 0;
  }

  static void* hide(void* parked) noexcept {
    page_entry& slab = slab_of(parked);
    const std::uint32_t slot = slot_of(slab, parked);
    slab.free[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
    return slot_at(parked);
  }

  static bool has_bit(const page_entry& slab, const void* parked) noexcept {
    const std::uint32_t slot = slot_of(slab, parked);
    return (slab.free[slot / 64] >> slot % 64 & 1u) != 0;
  }
  static int bits_of(const page_entry& slab) noexcept {
    int bits = 0;
    for (const std::uint64_t word : slab.free) bits += std::popcount(word);
    return bits;
  }

  /// As many as a thread cache frees at a time where slots are large.
  static constexpr std::uint32_t most_slots(std::uint32_t c) noexcept {
    return smaller(static_cast<std::uint32_t>(8 * KiB / shapes[c].slot_bytes), most_of_all);
  }

  static page_entry& slab_of(const void* slot) noexcept {
    const std::uintptr_t address = address_of(slot);
    page_entry* const entry = Shape::map_of(address) + Shape::page_at(Shape::offset_of(address));
    return *(entry - entry->back);
  }

  static std::uintptr_t offset_in(const page_entry& slab, const void* p) noexcept {
    return address_of(p) - address_of(Shape::memory_of(&slab));
  }
  static bool is_in(const void* p, const page_entry& slab) noexcept {
    return offset_in(slab, p) < slab.pages * page_bytes;
  }

  [[nodiscard]] row& row_of(const page_entry& slab) noexcept {
    return rows_[class_of_slab(slab.kind)][slab.lane % Lanes];
  }
  [[nodiscard]] const row& row_of(const page_entry& slab) const noexcept {
    return rows_[class_of_slab(slab.kind)][slab.lane % Lanes];
  }

  std::array<std::array<row, Lanes>, size_classes> rows_{};
};

}  // namespace miniheap::detail

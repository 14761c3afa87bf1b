// SPDX-License-Identifier: BSL-1.0
/// \file
/// Small allocations for an engine that several threads may be in. Between calls, each slab is full or in the bin of
/// its miniheap: what stands in the arena and would change with each call (active slabs, parked slots) is not there.
///
/// What is **quiet** changes one miniheap only: bits of slabs, and bins that are not empty before and after. It needs
/// the miniheap's lock and the set's, shared. All else here needs the set's, exclusively.
#pragma once

#include <miniheap/detail/miniheap_store.hpp>
#include <miniheap/fault.hpp>

namespace miniheap::detail {

template <class Store, bool Checked>
class slab_bins {
 public:
  using shape = typename Store::shape;
  using set = typename Store::set;
  using descriptor = typename Store::descriptor;

  /// `identity` is what messages speak of; it stays where it is.
  slab_bins(typename Store::source_type source, const arena_identity& identity)
      : store_{static_cast<typename Store::source_type&&>(source)}, identity_{identity} {}
  slab_bins(const slab_bins&) = delete;
  slab_bins& operator=(const slab_bins&) = delete;

  [[nodiscard]] Store& store() noexcept { return store_; }
  [[nodiscard]] const Store& store() const noexcept { return store_; }

  /// \name Quiet.
  ///@{
  /// Up to `want` slots of a miniheap whose bin of the size class is not empty. 0: that would not be quiet. O(slots).
  std::uint32_t take_quietly(descriptor& m, std::uint32_t c, void** slots, std::uint32_t want) noexcept {
    page_entry_list& slabs = m.bin_of(c).slabs;
    std::uint32_t count = 0;
    while (count < want) {
      page_entry& slab = slabs.front();
      const std::uint32_t free_slots = slab.slots - std::uint32_t{slab.used};
      const bool fills = want - count >= free_slots;
      // When a slab is full, the selection policy chooses anew where slots are to come from.
      if (fills && (&slabs.back() == &slab || is_to_carve(m, c))) {
        return count + take_slots(slab, slots + count, free_slots - 1);
      }
      count += take_slots(slab, slots + count, fills ? free_slots : want - count);
      if (fills) store_.all().remove_quietly(m, slab);
    }
    return count;
  }

  /// Frees a slot, if that is quiet. `entry` is of the page that `p` points into, which is one of a slab of class `c`.
  bool deallocate_quietly(descriptor& m, void* p, page_entry* entry, std::uint32_t c) noexcept {
    page_entry& slab = *(entry - entry->back);
    const std::uint32_t slot = slot_to_free(slab, p, c);
    const bool was_full = is_full(slab);
    if (slab.used == 1 || (was_full && m.bin_of(c).slabs.empty())) return false;
    put_back(slab, slot);
    if (was_full) store_.all().add_quietly(m, slab);
    return true;
  }

  /// Whether a slot of a slab is free.
  [[nodiscard]] static bool is_free(const page_entry& slab, std::uint32_t slot) noexcept {
    return (slab.free[slot / 64] >> (slot % 64) & 1u) != 0;
  }

  /// Which slots of word `w` of a slab are free.
  [[nodiscard]] static std::uint64_t free_word(const page_entry& slab, std::uint32_t w) noexcept {
    return slab.free[w];
  }
  ///@}

  /// Whether a slot that is allocated next lies in a miniheap fuller than that of `slab` by `gain_levels`. Reads what
  /// changes only while the set's lock is held exclusively; how full slabs are does not.
  [[nodiscard]] bool activate_fuller(const page_entry& slab, std::uint32_t c, unsigned gain_levels,
                                     unsigned /*gain_slots*/) const noexcept {
    const descriptor& m = descriptor::of(address_of(&slab));
    const descriptor* const with_slot = store_.all().first_with_slot(c);
    const descriptor* const other = with_slot != nullptr ? with_slot : first_with_room(c);
    return other != nullptr && other->key().level >= m.key().level + gain_levels && set::before(*other, m);
  }

  /// A slot of the size class, or nullptr. O(1), or O(log n) when a slab is carved or becomes full.
  void* allocate(std::uint32_t c) noexcept {
    void* slot = nullptr;
    return allocate_slots(c, &slot, 1) != 0 ? slot : nullptr;
  }

  /// Up to `want` slots of the size class; fewer where there is no memory for more. Threads are kept apart by locks
  /// here, not by lanes. O(slots) mostly.
  std::uint32_t allocate_slots(std::uint32_t c, void** slots, std::uint32_t want, std::uint32_t /*lane*/ = 0) noexcept {
    std::uint32_t count = 0;
    while (count < want) {
      descriptor* const with_slot = store_.all().first_with_slot(c);
      const bool carves = is_to_carve_before(with_slot, c);
      page_entry* const slab = carves ? carve(first_with_room(c), c) : &with_slot->bin_of(c).slabs.front();
      if (slab == nullptr) break;
      count += take_from(*slab, !carves, slots + count, want - count);
    }
    return count;
  }

  /// A slot of a slab that is carved in a miniheap other than `busy`, if there is one with room; else nullptr.
  void* allocate_apart_from(const descriptor& busy, std::uint32_t c) noexcept {
    descriptor* const other = store_.all().first_with_span(shapes[c].pages, &busy);
    page_entry* const slab = other == nullptr ? nullptr : carve(other, c);
    void* slot = nullptr;
    if (slab != nullptr) take_from(*slab, false, &slot, 1);
    return slot;
  }

  /// There is no word that slots are handed out from.
  static bool deallocate_recent(void* /*p*/, std::uint32_t /*c*/) noexcept { return false; }

  /// `entry` is of the page that `p` points into, which is one of a slab of size class `c`. The miniheap may be gone
  /// afterwards. O(1), or O(log n) when the slab was full or becomes empty.
  void deallocate(void* p, page_entry* entry, std::uint32_t c, bool /*is_of_batch*/ = false) noexcept {
    page_entry& slab = *(entry - entry->back);
    const std::uint32_t slot = slot_to_free(slab, p, c);
    descriptor& m = descriptor::of(address_of(entry));
    const bool was_full = is_full(slab);
    put_back(slab, slot);
    if (was_full) return store_.all().add_to_bin(m, slab);
    if (slab.used != 0) return;
    store_.all().remove_from_bin(m, slab);
    unmake_slab(&slab);
    store_.give_span(m, &slab);
    span_given(m);
  }

  /// There are no active slabs.
  static void retire_all() noexcept {}
  static void clear() noexcept {}

  /// A span has become free. Its miniheap may be gone afterwards.
  void span_given(const descriptor& /*m*/) noexcept { store_.settle(); }

  /// No slab is active, no slot is parked; the rest is in the miniheaps' own checks.
  [[nodiscard]] check_result check() const noexcept {
    check_result result;
    store_.all().for_each([&](const descriptor& m) {
      m.for_each_span([&](const page_entry& first, bool is_free_span) {
        if (is_free_span || !is_slab(first.kind)) return;
        if (is_active(first)) result = {"no slab is active", &first};
        if (has_free_slot_though_full(first)) result = {"a slab that is full has no free slot", &first};
      });
    });
    return result;
  }

 private:
  [[nodiscard]] descriptor* first_with_room(std::uint32_t c) const noexcept {
    return store_.all().first_with_span(shapes[c].pages);
  }

  /// Whether a slab had better be carved than a slot be taken from a slab of `m`: there is room in a miniheap that
  /// comes first.
  [[nodiscard]] bool is_to_carve(const descriptor& m, std::uint32_t c) const noexcept {
    const descriptor* const with_span = first_with_room(c);
    return with_span != nullptr && set::before(*with_span, m);
  }
  [[nodiscard]] bool is_to_carve_before(const descriptor* with_slot, std::uint32_t c) const noexcept {
    return with_slot == nullptr || is_to_carve(*with_slot, c);
  }

  /// A new slab that is in no bin yet: in `m`, or else in a new miniheap. nullptr: no memory.
  page_entry* carve(descriptor* m, std::uint32_t c) noexcept {
    page_entry* const first = store_.take_span(m, shapes[c].pages, 1);
    if (first != nullptr) make_slab(first, c);
    return first;
  }

  /// Up to `want` slots of a slab; then it is in its bin unless it is full.
  std::uint32_t take_from(page_entry& slab, bool is_in_bin, void** slots, std::uint32_t want) noexcept {
    descriptor& m = descriptor::of(address_of(&slab));
    const std::uint32_t free_slots = slab.slots - std::uint32_t{slab.used};
    const std::uint32_t count = take_slots(slab, slots, want < free_slots ? want : free_slots);
    if (is_in_bin && is_full(slab)) store_.all().remove_from_bin(m, slab);
    if (!is_in_bin && !is_full(slab)) store_.all().add_to_bin(m, slab);
    return count;
  }

  /// Exactly `count` free slots of a slab.
  std::uint32_t take_slots(page_entry& slab, void** slots, std::uint32_t count) noexcept {
    std::byte* const memory = shape::memory_of(&slab);
    const std::size_t slot_bytes = shapes[class_of_slab(slab.kind)].slot_bytes;
    std::uint32_t taken = 0;
    for (std::uint32_t w = 0; taken < count; ++w) {
      std::uint64_t word = slab.free[w];
      while (word != 0 && taken < count) {
        const std::uint32_t slot = order_.choose(word);
        word &= ~(std::uint64_t{1} << slot);
        slots[taken++] = memory + (64 * w + slot) * slot_bytes;
      }
      slab.free[w] = word;
    }
    slab.used = static_cast<std::uint16_t>(slab.used + count);
    return count;
  }

  /// The slot that `p` points to; a fault where it is none, or free.
  std::uint32_t slot_to_free(const page_entry& slab, void* p, std::uint32_t c) const noexcept {
    const slab_shape& slots = shapes[c];
    const std::uint64_t position =
        slots.position(static_cast<std::uint32_t>(address_of(p) - address_of(shape::memory_of(&slab))));
    const std::uint32_t slot = slots.slot_of(position);
    if constexpr (Checked) {
      if (!slots.is_start(position)) [[unlikely]]
        identity_.stop_in_miniheap(faults::interior, p);
      if (is_free(slab, slot)) [[unlikely]]
        identity_.stop_in_miniheap(faults::double_free, p, slots.slot_bytes);
    }
    return slot;
  }

  Store store_;
  const arena_identity& identity_;
  [[no_unique_address]] typename Store::slot_order order_{};
};

}  // namespace miniheap::detail

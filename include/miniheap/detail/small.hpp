// SPDX-License-Identifier: BSL-1.0
/// \file
/// Small allocations: slots of slabs. Between calls, each slab is active, or full, or in the bin of its miniheap.
#pragma once

#include <miniheap/detail/active_slabs.hpp>
#include <miniheap/detail/counted_bins.hpp>
#include <miniheap/detail/parked_slots.hpp>
#include <miniheap/fault.hpp>

namespace miniheap::detail {

/// `Lanes`: of the threads that `allocate_slots`.
template <class Store, bool Checked, std::uint32_t Lanes = 1>
class small_allocations {
 public:
  using shape = typename Store::shape;
  using set = typename Store::set;
  using descriptor = typename Store::descriptor;

  /// `identity` is what messages speak of; it stays where it is.
  small_allocations(typename Store::source_type source, const arena_identity& identity)
      : store_{static_cast<typename Store::source_type&&>(source)}, identity_{identity} {}
  small_allocations(const small_allocations&) = delete;
  small_allocations& operator=(const small_allocations&) = delete;

  [[nodiscard]] Store& store() noexcept { return store_; }
  [[nodiscard]] const Store& store() const noexcept { return store_; }

  /// A slot of the size class, or nullptr. O(1) mostly.
  [[gnu::always_inline]] void* allocate(std::uint32_t c) noexcept {
    active_slab& active = active_.of(0, c);
    if (!active.has_claimed()) [[unlikely]] {
      if (void* const slot = parked_.try_take(0, c, order_)) return slot;
      if (!claim_more(c, 0)) return take_any_parked(0, c);
    }
    return active.take_slot(shapes[c].slot_bytes, order_);
  }

  /// Up to `want` slots of the size class, for a thread of a lane; fewer where there is no memory. O(slots) mostly.
  std::uint32_t allocate_slots(std::uint32_t c, void** slots, std::uint32_t want, std::uint32_t lane) noexcept {
    active_slab& active = active_.of(lane, c);
    std::uint32_t count = 0;
    while (count < want) {
      if (active.has_claimed()) {
        count += active.take_slots(shapes[c].slot_bytes, slots + count, want - count);
      } else if (void* const slot = parked_.try_take(lane, c, order_)) {
        slots[count++] = slot;
      } else if (!claim_more(c, lane)) {
        void* const last = take_any_parked(lane, c);
        if (last == nullptr) break;
        slots[count++] = last;
      }
    }
    if constexpr (Checked) active.unclaim();  // who holds no lock takes what is not free for used
    order_.shuffle(slots, count);
    return count;
  }

  /// Frees a slot of the word that slots are handed out from, which needs no look at the page map. False: it is
  /// elsewhere.
  [[gnu::always_inline]] bool deallocate_recent(void* p, std::uint32_t c) noexcept {
    const slab_shape& slots = shapes[c];
    active_slab& active = active_.of(0, c);
    const std::size_t offset_bytes = active.offset_of(p);
    if (!active.reaches(offset_bytes)) return false;
    const std::uint64_t position = slots.position(static_cast<std::uint32_t>(offset_bytes));
    const std::uint64_t bit = std::uint64_t{1} << slots.slot_of(position);
    if constexpr (Checked) stop_unless_used(p, c, slots.is_start(position), active.is_free(bit));
    active.give_slot(bit);
    if (!store_.fits_reserve()) retire_if_idle(miniheap_of(active.slab()));
    return true;
  }

  /// `entry` is of the page that `p` points into, which is one of a slab of size class `c`. Of a batch a few slots are
  /// parked, and who holds no lock sees that they are free; else it is one. O(1) mostly.
  [[gnu::always_inline]] void deallocate(void* p, page_entry* entry, std::uint32_t c,
                                         bool is_of_batch = false) noexcept {
    const slab_shape& slots = shapes[c];
    const std::uint32_t back = __builtin_constant_p(c) && slots.pages == 1 ? 0 : entry->back;
    const auto in_page = static_cast<std::uint32_t>(address_of(p) & (page_bytes - 1));
    const std::uint64_t position = slots.position(back * static_cast<std::uint32_t>(page_bytes) + in_page);
    const std::uint32_t slot = slots.slot_of(position);
    page_entry& slab = *(entry - back);
    std::uint64_t& word = slab.free[slot / 64];
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    if constexpr (Checked) stop_unless_used(p, c, slots.is_start(position), (word & bit) != 0);
    if (is_free_quiet(slab.used, slots.slots)) {
      word |= bit;
      --slab.used;
    } else if (slab.used != slots.slots || is_of_batch || !parked_.park_alone(slab.lane, c, p)) {
      deallocate_loud(slab, slot, is_of_batch);
    }
  }

  /// Whether a slot of a slab is free.
  [[nodiscard]] bool is_free(const page_entry& slab, std::uint32_t slot) const noexcept {
    return (free_word(slab, slot / 64) >> (slot % 64) & 1u) != 0;
  }

  /// Which slots of word `w` of a slab are free: as the bitmap says, claimed, or parked.
  [[nodiscard]] std::uint64_t free_word(const page_entry& slab, std::uint32_t w) const noexcept {
    const std::uint64_t word = slab.free[w] | active_.of(slab).claimed_of(slab.free[w]);
    const void* const parked = slab.used == slab.slots ? parked_.find_in(slab) : nullptr;
    if (parked == nullptr || parked_.slot_of(slab, parked) / 64 != w) return word;
    return word | std::uint64_t{1} << parked_.slot_of(slab, parked) % 64;
  }

  /// Makes a slab the active one that is a better place for an allocation of `slab`: it lies in a miniheap fuller by
  /// `gain_levels`, or it is fuller itself by `gain_slots` slots, and not in a miniheap that comes later in the order
  /// of selection. False: there is none at hand. O(1), or O(log n).
  bool activate_fuller(const page_entry& slab, std::uint32_t c, unsigned gain_levels, unsigned gain_slots) noexcept {
    const descriptor& m = miniheap_of(&slab);
    active_slab& active = active_.of(0, c);
    const auto is_fuller = [&](const descriptor* other) {
      return other != nullptr && other->key().level >= m.key().level + gain_levels && set::before(*other, m);
    };
    const auto is_better = [&](const page_entry& other, std::uint32_t used) {
      const descriptor& owner = miniheap_of(&other);
      return is_fuller(&owner) ||
             (&other != &slab && used >= used_slots(slab) + gain_slots && (&owner == &m || set::before(owner, m)));
    };
    if (!active.is_exhausted() && is_better(*active.slab(), active.used_by_program())) {
      if (!active.has_claimed()) active.claim_word(*active.slab(), shape::memory_of(active.slab()));
      return true;
    }
    descriptor* const with_slot = store_.all().first_with_slot(c);
    descriptor* const with_span = store_.all().first_with_span(shapes[c].pages);
    const bool carves = with_slot == nullptr || (with_span != nullptr && set::before(*with_span, *with_slot));
    page_entry* const first = carves ? nullptr : &bins_.bring_fullest_forward(*with_slot, c);
    if (carves ? !is_fuller(with_span) : !is_better(*first, used_slots(*first))) return false;
    if (!carves) first->lane = 0;  // so that it is chosen
    return activate_another(c, 0) && is_better(*active.slab(), active.used_by_program());
  }

  /// Lets go of every active slab: those that no slot is used of become free spans, the others go into their bins.
  void retire_all() noexcept {
    parked_.give_all_back([this](page_entry& slab) { bins_.add(miniheap_of(&slab), slab); });
    active_.for_each([this](active_slab& active, std::uint32_t /*c*/) {
      if (active.slab() != nullptr) deactivate(active);
    });
  }

  /// Forgets the active slabs; their miniheaps are about to go.
  void clear() noexcept {
    active_.clear();
    parked_ = {};
  }

  /// A span of `m` has become free. The miniheap may be gone afterwards.
  void span_given(descriptor& m) noexcept {
    if (m.is_empty()) return settle_empty();
    if (!store_.fits_reserve()) retire_if_idle(m);
    store_.settle();
  }

  [[nodiscard]] check_result check() const noexcept {
    if (const check_result result = active_.check(); !result) return result;
    if (const check_result result = parked_.check(); !result) return result;
    std::uint32_t active_count = active_.count();
    check_result result;
    store_.all().for_each([&](const descriptor& m) {
      std::uint32_t active_pages = 0;
      m.for_each_span([&](const page_entry& first, bool is_free) {
        if (is_free || !is_slab(first.kind)) return;
        if (const char* broken = bins_.check(first)) result = {broken, &first};
        if (first.lane >= Lanes) result = {"a slab is of a lane that there is", &first};
        if (has_free_slot_though_full(first) && parked_.find_in(first) == nullptr)
          result = {"a free slot of a slab that is full is parked", &first};
        if (!is_active(first)) return;
        active_pages += first.pages;
        --active_count;
      });
      if (active_pages != m.active_pages) result = {"the pages of active slabs are counted", m.map()};
    });
    return active_count == 0 ? result : check_result{"each active slab is the arena's", this};
  }

 private:
  static descriptor& miniheap_of(const page_entry* entry) noexcept { return descriptor::of(address_of(entry)); }

  [[gnu::always_inline]] void stop_unless_used(void* p, std::uint32_t c, bool is_start, bool is_free) const noexcept {
    if (!is_start) [[unlikely]]
      identity_.stop_in_miniheap(faults::interior, p);
    if (is_free) [[unlikely]]
      identity_.stop_in_miniheap(faults::double_free, p, shapes[c].slot_bytes);
  }

  /// There is no memory, so the order does not matter.
  [[gnu::cold, gnu::noinline]] void* take_any_parked(std::uint32_t lane, std::uint32_t c) noexcept {
    lowest_first last_parked;
    return parked_.try_take(lane, c, last_parked);
  }

  /// Claims slots where none are claimed. False: no memory, and nothing has changed.
  [[gnu::noinline]] bool claim_more(std::uint32_t c, std::uint32_t lane) noexcept {
    if constexpr (Checked) store_.supply().stop_callback(identity_);
    store_.note_activity(page_bytes / 4);
    active_slab& active = active_.of(lane, c);
    if (active.is_exhausted()) return activate_another(c, lane);
    active.claim_word(*active.slab(), shape::memory_of(active.slab()));
    return true;
  }

  /// Replaces the active slab by the first in the order of selection. False: no memory, and nothing has changed.
  bool activate_another(std::uint32_t c, std::uint32_t lane) noexcept {
    page_entry* const slab = find_slab(c, lane);
    if (slab == nullptr) return false;
    active_slab& active = active_.of(lane, c);
    if (active.slab() != nullptr) deactivate(active);
    slab->lane = static_cast<std::uint8_t>(lane % Lanes);
    miniheap_of(slab).active_pages += slab->pages;
    active.activate(*slab, shape::memory_of(slab));
    return true;
  }

  /// A slab that is not active, in no bin, and has a free slot: from the first miniheap in the order of selection that
  /// has one or has room for one; at last from a new miniheap. A slab of another lane is for where there is no room, or
  /// where many pages have free slots already. nullptr: no memory.
  page_entry* find_slab(std::uint32_t c, std::uint32_t lane) noexcept {
    descriptor* const with_slot = store_.all().first_with_slot(c);
    descriptor* const with_span = store_.all().first_with_span(shapes[c].pages);
    if (with_slot != nullptr && (with_span == nullptr || !set::before(*with_span, *with_slot))) {
      page_entry* slab = Lanes == 1 ? nullptr : bins_.first_of_lane(c, lane % Lanes);
      const bool has_few_free_slots = 4 * store_.all().binned_pages() < store_.all().used_pages();
      const bool takes_any = Lanes == 1 || with_span == nullptr || !has_few_free_slots;
      if (slab == nullptr && takes_any) slab = &with_slot->bin_of(c).slabs.front();
      if (slab != nullptr) {
        bins_.take(miniheap_of(slab), *slab);
        return slab;
      }
    }
    page_entry* const first = store_.take_span(with_span, shapes[c].pages, 1);
    if (first != nullptr) make_slab(first, c);
    return first;
  }

  /// Frees a slot of an active slab, of a full one, or the last one of a slab.
  [[gnu::noinline]] void deallocate_loud(page_entry& slab, std::uint32_t slot, bool is_of_batch) noexcept {
    descriptor& m = miniheap_of(&slab);
    const std::uint32_t c = class_of_slab(slab.kind);
    if (Checked && is_active(slab) && is_free(slab, slot)) {
      const std::size_t slot_bytes = shapes[c].slot_bytes;
      identity_.stop_in_miniheap(faults::double_free, shape::memory_of(&slab) + slot * slot_bytes, slot_bytes);
    }
    if (is_active(slab)) {
      put_back(slab, slot);
      if (!store_.fits_reserve()) retire_if_idle(m);
      return;
    }
    if constexpr (Checked) store_.supply().stop_callback(identity_);
    if (slab.used == slab.slots) return deallocate_in_full(m, slab, slot, is_of_batch);
    const bool has_more_unused = bins_.put_back(m, slab, slot);
    if (used_slots(slab) == 0) {
      store_.all().remove_from_bin(m, slab);
      give_slab(m, slab);
    } else if (has_more_unused) {
      store_.settle();
    }
  }

  /// The slab was full, but for a parked slot perhaps.
  void deallocate_in_full(descriptor& m, page_entry& slab, std::uint32_t slot, bool is_of_batch) noexcept {
    const std::uint32_t c = class_of_slab(slab.kind);
    void* const p = shape::memory_of(&slab) + slot * std::size_t{shapes[c].slot_bytes};
    const void* const parked = parked_.find_in(slab);
    if (parked == nullptr) {
      if (!is_of_batch || !parked_.park(slab, slot)) bins_.add_first(m, slab, slot);
      return;
    }
    if (Checked && parked == p) identity_.stop_in_miniheap(faults::double_free, p, shapes[c].slot_bytes);
    parked_.give_back(slab);
    put_back(slab, slot);
    bins_.add(m, slab);
  }

  /// Lets go of the active slab of a size class; what becomes of it depends on its free slots. Its miniheap may be gone
  /// afterwards.
  void deactivate(active_slab& active) noexcept {
    page_entry& slab = let_go(active);
    descriptor& m = miniheap_of(&slab);
    if (slab.used == 0) {
      give_slab(m, slab);
    } else if (!is_full(slab)) {
      bins_.add(m, slab);
    }
  }

  /// An empty slab becomes a free span at once. The miniheap may be gone afterwards.
  void give_slab(descriptor& m, page_entry& slab) noexcept {
    bins_.give(m, slab);
    span_given(m);
  }

  /// An active slab may be idle, for speed. It does not keep a miniheap alive that could go: when nothing but idle
  /// active slabs is left in one, they become free spans. The miniheap may be gone afterwards.
  [[gnu::always_inline]] void retire_if_idle(descriptor& m) noexcept {
    if (m.used_pages() == m.active_pages) [[unlikely]]
      retire_idle(m);
  }

  [[gnu::noinline]] void retire_idle(descriptor& m) noexcept {
    if constexpr (Checked) store_.supply().stop_callback(identity_);
    std::uint32_t idle_pages = 0;
    active_.for_each([&](const active_slab& active, std::uint32_t /*c*/) {
      if (is_idle_in(active, m)) idle_pages += active.slab()->pages;
    });
    if (idle_pages != m.used_pages()) return store_.settle();
    active_.for_each([&](active_slab& active, std::uint32_t /*c*/) {
      if (is_idle_in(active, m)) bins_.give(m, let_go(active));
    });
    settle_empty();
  }

  static page_entry& let_go(active_slab& active) noexcept {
    miniheap_of(active.slab()).active_pages -= active.slab()->pages;
    return active.deactivate();
  }

  static bool is_idle_in(const active_slab& active, const descriptor& m) noexcept {
    return active.is_idle() && &miniheap_of(active.slab()) == &m;
  }

  /// A miniheap has become empty. Others in which only idle slabs are left were kept as long as they were the reserve.
  void settle_empty() noexcept {
    active_.for_each([this](const active_slab& active, std::uint32_t /*c*/) {
      if (active.is_idle() && !store_.fits_reserve()) retire_if_idle(miniheap_of(active.slab()));
    });
    store_.settle();
  }

  Store store_;
  counted_bins<Store> bins_{store_};
  const arena_identity& identity_;
  active_slabs<Lanes> active_;
  parked_slots<shape, Lanes, Checked> parked_;
  [[no_unique_address]] typename Store::slot_order order_;
};

}  // namespace miniheap::detail

// SPDX-License-Identifier: BSL-1.0
/// \file
/// The engine of an arena whose miniheaps have locks of their own. A miniheap's lock is taken only while the lock of
/// the set is held, at least shared; so whoever holds the set exclusively is alone, and calls what the engine for one
/// thread is made of. Held shared, it lets threads do what is quiet: see slab_bins.hpp.
#pragma once

#include <miniheap/detail/core.hpp>
#include <miniheap/detail/lock_order.hpp>
#include <miniheap/detail/slab_bins.hpp>

namespace miniheap::detail {

/// What is called with the lock of the set takes it; it is not held. What is inherited needs it exclusively, but for
/// `owns` and the stock class of an allocation.
template <page_source Source, lock_policy Locks, fit_policy Fit, selection_policy Selection, arena_config Config>
class concurrent_core : public core<Source, Fit, Selection, Config, slab_bins, typename Locks::miniheap_lock> {
  using base = core<Source, Fit, Selection, Config, slab_bins, typename Locks::miniheap_lock>;
  using set_lock = typename Locks::set_lock;
  using exclusive = lock_guard<set_lock>;
  using shared = shared_guard<set_lock>;

 public:
  using base::allocate;
  using base::allocate_batch;
  using base::base;
  using base::checked;
  using base::deallocate;
  using base::deallocate_batch;
  using base::reallocate;
  using base::usable_size;
  using typename base::descriptor;

  /// nullptr: no memory, and nothing has changed. `alignment` is a power of two.
  void* allocate(set_lock& lock, std::size_t bytes, std::size_t alignment) noexcept {
    stop_callback();
    const descriptor* busy = nullptr;
    const bool is_slot = is_small(bytes, alignment);
    const std::uint32_t c = is_slot ? size_class(aligned_request(bytes, alignment)) : stock_classes;
    if (is_slot) {
      void* slot = nullptr;
      const shared guard{lock, this->identity()};
      if (take_quietly(c, &slot, 1, busy) != 0) return slot;
    }
    const exclusive guard{lock, this->identity(), lock_rank::set};
    if (busy != nullptr) {
      if (void* const slot = this->small().allocate_apart_from(*busy, c)) return slot;
    }
    return base::allocate(bytes, alignment);
  }

  void deallocate(set_lock& lock, void* p) noexcept {
    stop_callback();
    {
      const shared guard{lock, this->identity()};
      if (give_quietly(p, stock_classes)) return;
    }
    const exclusive guard{lock, this->identity(), lock_rank::set};
    base::deallocate(p);
  }

  /// The caller knows what was asked for.
  void deallocate(set_lock& lock, void* p, std::size_t bytes, std::size_t alignment) noexcept {
    stop_callback();
    if (is_small(bytes, alignment)) {
      const shared guard{lock, this->identity()};
      if (give_quietly(p, size_class(aligned_request(bytes, alignment)))) return;
    }
    const exclusive guard{lock, this->identity(), lock_rank::set};
    base::deallocate(p, bytes, alignment);
  }

  /// As `core::allocate_batch`. When slabs that are there have at least half of what is wanted, that is it.
  std::uint32_t allocate_batch(set_lock& lock, std::uint32_t c, void** batch, std::uint32_t want,
                               std::uint32_t /*lane*/ = 0) noexcept {
    stop_callback();
    std::uint32_t count = 0;
    if (is_slot_class(c)) {
      const descriptor* busy = nullptr;
      const shared guard{lock, this->identity()};
      count = take_quietly(c, batch, want, busy);
      if (count >= (want + 1) / 2) return count;
    }
    const exclusive guard{lock, this->identity(), lock_rank::set};
    return count + base::allocate_batch(c, batch + count, want - count);
  }

  void deallocate_batch(set_lock& lock, std::uint32_t c, void* const* batch, std::uint32_t count) noexcept {
    stop_callback();
    for (std::uint32_t done = 0; done < count;) {
      const std::uint32_t some = count - done < 64 ? count - done : 64;
      std::uint64_t left = ~std::uint64_t{0} >> (64 - some);
      if (is_slot_class(c)) {
        const shared guard{lock, this->identity()};
        left = give_batch_quietly(c, batch + done, some);
      }
      if (left != 0) {
        const exclusive guard{lock, this->identity(), lock_rank::set};
        for (; left != 0; left &= left - 1) base::deallocate_batch(c, batch + done + std::countr_zero(left), 1);
      }
      done += some;
    }
  }

  /// nullptr: no memory, and `p` is as it was. What is copied is copied without a lock.
  void* reallocate(set_lock& lock, void* p, std::size_t bytes, std::size_t alignment) noexcept {
    stop_callback();
    bytes = at_least_one(bytes);
    const bool stays = (address_of(p) & (alignment - 1)) == 0;
    std::size_t old_bytes = 0;
    {
      const shared guard{lock, this->identity()};
      const page_entry* const entry = this->entry_of(p);
      if (entry != nullptr && is_slab(entry->kind)) {
        old_bytes = slot_bytes(p, entry);
        if (stays && this->resize(p, bytes, alignment) != nullptr) return p;  // changes nothing for a slot
      }
    }
    if (old_bytes == 0) {
      const exclusive guard{lock, this->identity(), lock_rank::set};
      old_bytes = base::usable_size(p);
      void* const q = stays ? this->resize(p, bytes, alignment) : nullptr;
      if (q != nullptr) return q;
    }
    void* const q = allocate(lock, bytes, alignment);
    if (q == nullptr) return nullptr;
    std::memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    deallocate(lock, p);
    return q;
  }

  std::size_t usable_size(set_lock& lock, const void* p) const noexcept {
    stop_callback();
    const shared guard{lock, this->identity()};
    const page_entry* const entry = this->entry_of(p);
    return entry != nullptr && is_slab(entry->kind) ? slot_bytes(p, entry) : base::usable_size(p);
  }

 private:
  using miniheap_guard = lock_guard<typename Locks::miniheap_lock>;

  static constexpr std::uint32_t most_tries = 8;

  void stop_callback() const noexcept {
    if constexpr (checked) this->supply().stop_callback(this->identity());
  }

  /// \name With the lock of the set held shared.
  ///@{
  /// Up to `want` slots from the first miniheap in the order of selection that is not busy; 0: it takes more than what
  /// is quiet. Where all are busy and another has room, `busy` is the first of them; where none has, it is waited for.
  std::uint32_t take_quietly(std::uint32_t c, void** slots, std::uint32_t want, const descriptor*& busy) noexcept {
    descriptor* first = nullptr;
    std::uint32_t count = 0;
    const auto try_take = [&](descriptor& m) {
      if (first == nullptr) first = &m;
      if (!m.lock.try_lock()) return false;
      count = this->small().take_quietly(m, c, slots, want);
      m.lock.unlock();
      return true;
    };
    if (this->miniheaps().find_with_slot(c, most_tries, try_take) != nullptr || first == nullptr) return count;
    if (this->miniheaps().first_with_span(shapes[c].pages, first) != nullptr) {
      busy = first;
      return 0;
    }
    const miniheap_guard guard{first->lock, this->identity(), lock_rank::miniheap};
    return this->small().take_quietly(*first, c, slots, want);
  }

  /// False: it takes more than what is quiet, or it is no slot of size class `c`; `stock_classes` stands for any.
  bool give_quietly(void* p, std::uint32_t c) noexcept {
    page_entry* const entry = this->entry_of(p);
    if (!is_slot_of(entry, c)) return false;
    descriptor& m = concurrent_core::miniheap_of(entry);
    const miniheap_guard guard{m.lock, this->identity(), lock_rank::miniheap};
    return this->small().deallocate_quietly(m, p, entry, class_of_slab(entry->kind));
  }

  /// Bit i of the result: `batch[i]` is left. A miniheap is locked once for all neighbours in the batch that lie in it.
  std::uint64_t give_batch_quietly(std::uint32_t c, void* const* batch, std::uint32_t count) noexcept {
    std::uint64_t left = 0;
    for (std::uint32_t i = 0; i < count;) {
      page_entry* entry = this->entry_of(batch[i]);
      if (!is_slot_of(entry, c)) {
        left |= std::uint64_t{1} << i++;
        continue;
      }
      descriptor& m = concurrent_core::miniheap_of(entry);
      const miniheap_guard guard{m.lock, this->identity(), lock_rank::miniheap};
      do {
        if (!this->small().deallocate_quietly(m, batch[i], entry, c)) left |= std::uint64_t{1} << i;
        entry = ++i < count ? this->entry_of(batch[i]) : nullptr;
      } while (is_slot_of(entry, c) && &concurrent_core::miniheap_of(entry) == &m);
    }
    return left;
  }

  static bool is_slot_of(const page_entry* entry, std::uint32_t c) noexcept {
    return entry != nullptr && (c == stock_classes ? is_slab(entry->kind) : entry->kind == slab_of_class(c));
  }

  std::size_t slot_bytes(const void* p, const page_entry* entry) const noexcept {
    const miniheap_guard guard{concurrent_core::miniheap_of(entry).lock, this->identity(), lock_rank::miniheap};
    return base::usable_size(p);
  }
  ///@}
};

/// Where one thread uses an arena, one lane is enough.
template <lock_policy Locks>
struct small_allocations_of {
  static constexpr std::uint32_t lanes = std::is_same_v<Locks, no_lock> ? 1 : thread_lanes;
  template <class Store, bool Checked>
  using type = small_allocations<Store, Checked, lanes>;
};

/// The engine that a lock policy asks for.
template <page_source Source, lock_policy Locks, fit_policy Fit, selection_policy Selection, arena_config Config>
using core_for = std::conditional_t<locks_miniheaps<Locks>, concurrent_core<Source, Locks, Fit, Selection, Config>,
                                    core<Source, Fit, Selection, Config, small_allocations_of<Locks>::template type>>;

}  // namespace miniheap::detail

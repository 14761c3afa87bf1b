// SPDX-License-Identifier: BSL-1.0
/// \file
/// The engine together with what layers ask of it that keep allocations in stock.
#pragma once

#include <miniheap/detail/engine.hpp>
#include <miniheap/detail/slab_batch.hpp>

namespace miniheap::detail {

/// What of its shape tells where the slots of a slab start, by the kind of its pages: nothing starts on pages of
/// another kind, so one look tells both.
struct start_rule {
  std::uint32_t reciprocal = 0;
  std::uint32_t starts_below = 0;

  [[nodiscard, gnu::always_inline]] std::uint64_t position(std::uint32_t offset_bytes) const noexcept {
    return std::uint64_t{offset_bytes} * reciprocal;  // see slab_shape
  }
  [[nodiscard, gnu::always_inline]] bool is_start(std::uint64_t position) const noexcept {
    return static_cast<std::uint32_t>(position) < starts_below;
  }
};

inline constexpr std::array<start_rule, static_cast<std::size_t>(page_kind::slab) + size_classes> start_rules = [] {
  std::array<start_rule, static_cast<std::size_t>(page_kind::slab) + size_classes> table{};
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    table[static_cast<std::size_t>(slab_of_class(c))] = {shapes[c].reciprocal, shapes[c].starts_below};
  }
  return table;
}();

template <page_source Source, fit_policy Fit, selection_policy Selection, arena_config Config,
          template <class, bool> class Small, class MiniheapLock = no_lock::null_mutex>
class core : public engine<Source, Fit, Selection, Config, Small, MiniheapLock> {
  using base = engine<Source, Fit, Selection, Config, Small, MiniheapLock>;
  using base::base_of;
  using base::is_aligned;
  using base::recent_entry_of;

 public:
  using base::base;
  using base::checked;
  using base::large_threshold_bytes;
  using typename base::shape;

  /// The stock class that serves a request, or `stock_classes`.
  static constexpr std::uint32_t stock_class(std::size_t bytes, std::size_t alignment) noexcept {
    return bytes <= large_threshold_bytes ? detail::stock_class(bytes, alignment) : stock_classes;
  }

  /// Up to `want` allocations of the stock class, at least one, for a thread of a lane; 0: no memory. O(allocations)
  /// mostly.
  std::uint32_t allocate_batch(std::uint32_t c, void** batch, std::uint32_t want, std::uint32_t lane = 0) noexcept {
    const std::uint32_t count = is_slot_class(c) ? this->small_.allocate_slots(c, batch, want, lane)
                                                 : allocate_spans(pages_of_stock_class(c), batch, want);
    if (count != 0) [[likely]]
      return count;
    batch[0] = this->allocate_after_trim(bytes_of_stock_class(c), default_alignment);
    return static_cast<std::uint32_t>(batch[0] != nullptr);
  }

  /// Each is of the stock class. O(allocations) mostly.
  void deallocate_batch(std::uint32_t c, void* const* batch, std::uint32_t count) noexcept {
    for (std::uint32_t i = 0; i < count;) {
      if (i + 4 < count) __builtin_prefetch(&core::entry_at(batch[i + 4]), 1);
      page_entry* const entry = recent_entry_of(batch[i]);
      if (entry == nullptr || !is_slot_class(c) || (checked && entry->kind != slab_of_class(c))) {
        this->deallocate_more_sized(batch[i++], bytes_of_stock_class(c), default_alignment);
      } else {
        const std::uint32_t freed =
            i + 1 < count && are_in_one_page(batch[i], batch[i + 1])
                ? free_together<checked, shape>(*(entry - entry->back), c, batch + i, count - i, this->identity_)
                : 0;
        if (freed == 0) this->small_.deallocate(batch[i], entry, c, true);
        i += freed == 0 ? 1 : freed;
      }
    }
  }

  /// The stock class of a live allocation; `stock_classes` where it has none, where there is none, and where it would
  /// take a search to tell. Needs no lock where the caller holds the allocation: nobody changes then what is read. Free
  /// slots are known but for those that are claimed, or parked alone.
  [[nodiscard, gnu::always_inline]] std::uint32_t stock_class_of(const void* p) const noexcept {
    const page_entry* const entry = recent_entry_of(p);
    if (entry == nullptr) [[unlikely]]
      return stock_classes;
    if (!is_slab(entry->kind)) [[unlikely]]
      return stock_class_of_medium(p, entry);
    const std::uint32_t c = class_of_slab(entry->kind);
    return is_slot(p, *entry, c) ? c : stock_classes;
  }

  /// The same for small allocations only; of a type that an address is made of without converting it.
  [[nodiscard, gnu::always_inline]] std::size_t slot_class_of(const void* p) const noexcept {
    const std::uintptr_t begin = base_of(p);
    std::uintptr_t asked = begin;
    // What is found there is equal, and a compiler that knows would go on with it: all that follows waited for a load.
    asm("" : "+r"(asked));
    if (!this->store().contains_recently(asked)) [[unlikely]]
      return stock_classes;
    const page_entry& entry = shape::map_of(begin)[shape::page_at(shape::offset_of(address_of(p)))];
    const start_rule& rule = start_rules[static_cast<std::size_t>(entry.kind)];
    if constexpr (checked) {
      const std::uint64_t position = rule.position(offset_in_slab(p, entry));
      if (!rule.is_start(position) || is_free(*(&entry - entry.back), position)) [[unlikely]]
        return stock_classes;
    } else if (!is_slab(entry.kind)) [[unlikely]] {
      return stock_classes;
    }
    const auto kind = static_cast<std::size_t>(entry.kind);
    const std::size_t c = kind - static_cast<std::size_t>(page_kind::slab);
    if (c >= size_classes) __builtin_unreachable();
    return c;
  }

  /// Whether that is `c`. For a size class that the compiler knows, a few instructions less.
  [[nodiscard, gnu::always_inline]] bool has_stock_class(const void* p, std::uint32_t c) const noexcept {
    if (!__builtin_constant_p(c) || !is_slot_class(c)) return stock_class_of(p) == c;
    const page_entry* const entry = recent_entry_of(p);
    return entry != nullptr && (!checked || entry->kind == slab_of_class(c)) && is_slot(p, *entry, c);
  }

  /// Of a live allocation.
  [[nodiscard]] bool is_large(const void* p) const noexcept { return this->entry_of(p) == nullptr; }

  /// False also where it would take a search to tell. Needs no lock.
  [[nodiscard]] bool is_in_recent_miniheap(const void* p) const noexcept { return recent_entry_of(p) != nullptr; }

  /// \name What was true a moment ago; any thread may ask, without a lock.
  ///@{
  /// Whether most used pages were of slabs with free slots.
  [[nodiscard]] bool was_sparse() const noexcept { return this->store().was_sparse(); }
  /// Bytes of used pages and large allocations.
  [[nodiscard]] std::size_t recent_in_use_bytes() const noexcept { return this->store().recent_in_use_bytes(); }
  ///@}

  /// Memory for what describes a layer.
  void* map_metadata(std::size_t bytes) noexcept {
    void* const p = this->supply().map(bytes, page_bytes);
    if (p != nullptr) this->layer_bytes_ += bytes;
    return p;
  }

  bool unmap_metadata(void* p, std::size_t bytes) noexcept {
    const bool is_unmapped = this->supply().unmap(p, bytes);
    if (is_unmapped) this->layer_bytes_ -= bytes;
    return is_unmapped;
  }

 private:
  [[gnu::always_inline]] static bool are_in_one_page(const void* p, const void* q) noexcept {
    return (address_of(p) ^ address_of(q)) < page_bytes;
  }

  /// `entry` is of a slab of size class `c`. When nothing is checked, every pointer is to a used slot.
  [[gnu::always_inline]] static bool is_slot(const void* p, const page_entry& entry, std::uint32_t c) noexcept {
    if (!checked) return true;
    const slab_shape& slots = shapes[c];
    const bool is_in_first = __builtin_constant_p(c) && slots.pages == 1;
    const std::uint64_t position = slots.position(is_in_first ? offset_in_page(p) : offset_in_slab(p, entry));
    return slots.is_start(position) && !is_free(is_in_first ? entry : *(&entry - entry.back), position);
  }

  /// Whether the slot at a position is free, to the slab. Other threads change the word meanwhile, with a lock that the
  /// caller does not hold; but not the bit of a slot that the caller holds.
  MINIHEAP_WITHOUT_THREAD_SANITIZER static bool is_free(const page_entry& slab, std::uint64_t position) noexcept {
    const volatile std::uint64_t& word = slab.free[position >> 38];
    return (word >> (position >> 32 & 63) & 1u) != 0;
  }

  static std::uint32_t offset_in_page(const void* p) noexcept {
    return static_cast<std::uint32_t>(address_of(p) & (page_bytes - 1));
  }

  static std::uint32_t offset_in_slab(const void* p, const page_entry& entry) noexcept {
    return entry.back * static_cast<std::uint32_t>(page_bytes) + offset_in_page(p);
  }

  [[gnu::noinline]] static std::uint32_t stock_class_of_medium(const void* p, const page_entry* entry) noexcept {
    return entry->kind == page_kind::medium && is_aligned(p, page_bytes) ? stock_class_of_pages(entry->pages)
                                                                         : stock_classes;
  }

  std::uint32_t allocate_spans(std::uint32_t pages, void** batch, std::uint32_t want) noexcept {
    std::uint32_t count = 0;
    while (count < want && (batch[count] = this->allocate_span(pages, 1)) != nullptr) ++count;
    return count;
  }
};

}  // namespace miniheap::detail

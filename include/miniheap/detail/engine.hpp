// SPDX-License-Identifier: BSL-1.0
/// \file
/// The engine of an arena, below its lock: one thread at a time is in here. Routes requests to slots, spans and
/// ranges.
#pragma once

#include <miniheap/detail/small.hpp>

#include <cstring>

namespace miniheap::detail {

/// What a request is served by: a slot of a slab, a span of its own, a range of its own.
enum class route : unsigned char { small, medium, large };

/// `Small` keeps the slabs; `MiniheapLock` is the lock of one miniheap, which nobody takes here.
template <page_source Source, fit_policy Fit, selection_policy Selection, arena_config Config,
          template <class, bool> class Small, class MiniheapLock = no_lock::null_mutex>
class engine {
 public:
  using store_type = miniheap_store<Source, Fit, Selection, Config, MiniheapLock>;
  using shape = typename store_type::shape;
  using set = typename store_type::set;
  using descriptor = typename store_type::descriptor;

  static constexpr std::size_t large_threshold_bytes = smaller(Config.large_threshold_bytes, Config.miniheap_bytes / 2);
  static constexpr std::size_t max_request_bytes = PTRDIFF_MAX - Config.miniheap_bytes;
  static constexpr bool checked = Config.checks != check_level::none;

  static_assert(std::has_single_bit(Config.miniheap_bytes) && Config.miniheap_bytes >= 64 * KiB &&
                    Config.miniheap_bytes <= 64 * MiB,
                "miniheap_bytes is a power of two from 64 KiB to 64 MiB");
  static_assert(large_threshold_bytes >= max_small_bytes, "large_threshold_bytes is at least 8 KiB");
  static_assert(shape::longest_span_pages >= smaller(std::size_t{max_stock_pages}, pages_for(large_threshold_bytes)),
                "what threads keep in stock has room between two guards: guard_every_pages is 0 or more than 16");
  static_assert(Config.float_gain_levels >= 1, "an allocation that gains nothing stays where it is");

  engine(Source source, const char* name)
      : identity_{name, this, Config.miniheap_bytes}, small_{static_cast<Source&&>(source), identity_} {}
  ~engine() { release(); }
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  static constexpr route route_of(std::size_t bytes, std::size_t alignment) noexcept {
    if (is_small(bytes, alignment)) return route::small;
    const bool is_large = bytes > large_threshold_bytes || alignment >= Config.miniheap_bytes ||
                          pages_for(bytes) + alignment_pages(alignment) - 1 > shape::longest_span_pages;
    return is_large ? route::large : route::medium;
  }

  /// How many bytes at the end of what was allocated last, of this size, the page source has filled with zeros.
  [[nodiscard]] std::size_t last_zeroed_bytes(std::size_t bytes, std::size_t alignment) const noexcept {
    return maps_zeroed<Source> && route_of(bytes, alignment) == route::large ? large().last_fresh_bytes() : 0;
  }

  /// nullptr: no memory, and nothing has changed. `alignment` is a power of two.
  [[gnu::always_inline]] void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
    void* const p = is_small(bytes, alignment) ? small_.allocate(size_class(aligned_request(bytes, alignment)))
                                               : allocate_more(bytes, alignment);
    if (p == nullptr) [[unlikely]]
      return allocate_after_trim(bytes, alignment);
    return p;
  }

  [[gnu::always_inline]] void deallocate(void* p) noexcept {
    page_entry* const entry = recent_entry_of(p);
    if (entry == nullptr || !is_slab(entry->kind)) [[unlikely]]
      return deallocate_more(p);
    small_.deallocate(p, entry, class_of_slab(entry->kind));
  }

  /// The caller knows what was asked for.
  [[gnu::always_inline]] void deallocate(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    // A container's allocator knows the size class when it is compiled; else the page map knows it soonest.
    if (__builtin_constant_p(bytes) && is_small(bytes, alignment)) {
      deallocate_class(p, size_class(aligned_request(bytes, alignment)), bytes, alignment);
    } else {
      deallocate_any(p, bytes, alignment);
    }
  }

  /// nullptr: no memory, and `p` is as it was.
  void* reallocate(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t old_bytes = usable_size(p);  // and a fault where there is no allocation at `p`
    void* const q = resize(p, bytes, alignment);
    return q != nullptr ? q : move(p, old_bytes, at_least_one(bytes), alignment);
  }

  /// As far as that takes no copy: a large allocation may move. nullptr: `p`, which is live, is as it was.
  void* resize(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    if (!is_aligned(p, alignment)) return nullptr;
    bytes = at_least_one(bytes);
    const route wanted = route_of(bytes, alignment);
    page_entry* const entry = entry_of(p);
    if (entry == nullptr) return wanted == route::large ? resize_large(p, bytes, alignment) : nullptr;
    if (entry->kind == page_kind::medium) return wanted == route::medium ? resize_medium(entry, bytes) : nullptr;
    const std::uint32_t c = class_of_slab(entry->kind);
    const bool stays = wanted == route::small && size_class(aligned_request(bytes, alignment)) == c;
    return stays && !is_to_float(entry, c) ? p : nullptr;
  }

  [[nodiscard]] bool owns(const void* p) const noexcept {
    const std::uintptr_t address = address_of(p);
    const std::size_t offset_bytes = shape::offset_of(address);
    if (store().contains(address - offset_bytes)) return shape::page_at(offset_bytes) >= shape::head_pages;
    return large().contains(address);
  }

  /// Usable bytes of the live allocation at `p`; a fault where there is none.
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept {
    const page_entry* const entry = entry_of(p);
    if (entry == nullptr) return large_bytes(p);
    return is_slab(entry->kind) ? slot_bytes(p, entry) : medium_bytes(p, entry);
  }

  /// Idle slabs become free spans, and what is in reserve above `target_bytes` goes back. 0: what could not be
  /// unmapped before is tried again. Bytes unmapped and dropped.
  std::size_t trim(std::size_t target_bytes) noexcept {
    const std::size_t before_bytes = supply().given_back_bytes();
    small_.retire_all();
    if (target_bytes == 0) {
      store().trim();
    } else {
      store().give_back(target_bytes);
    }
    return supply().given_back_bytes() - before_bytes;
  }

  /// Everything goes back. A miniheap that the page source will not take stays, empty.
  void release() noexcept {
    small_.clear();
    store().release();
  }

  [[nodiscard]] check_result check() const noexcept {
    if (const check_result result = store().check(); !result) return result;
    if (const check_result result = small_.check(); !result) return result;
    const std::size_t held_bytes =
        store().all().size() * Config.miniheap_bytes + large().live_bytes() + large().free_bytes();
    if (held_bytes + metadata_bytes() != supply().mapped_bytes()) return {"what is mapped is accounted for", this};
    return {};
  }

  [[nodiscard]] const arena_identity& identity() const noexcept { return identity_; }
  [[nodiscard]] auto& supply() noexcept { return store().supply(); }
  [[nodiscard]] const auto& supply() const noexcept { return store().supply(); }
  [[nodiscard]] const set& miniheaps() const noexcept { return store().all(); }
  [[nodiscard]] const auto& small() const noexcept { return small_; }
  [[nodiscard]] const auto& large() const noexcept { return store().large(); }
  [[nodiscard]] std::size_t reserve_bytes() const noexcept { return store().reserve_bytes(); }
  [[nodiscard]] std::size_t reserve_limit_bytes() const noexcept { return store().reserve_limit_bytes(); }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept { return store().metadata_bytes() + layer_bytes_; }

 protected:
  [[nodiscard]] auto& small() noexcept { return small_; }
  [[nodiscard]] store_type& store() noexcept { return small_.store(); }
  [[nodiscard]] const store_type& store() const noexcept { return small_.store(); }

  static descriptor& miniheap_of(const page_entry* entry) noexcept { return descriptor::of(address_of(entry)); }

  static bool is_aligned(const void* p, std::size_t alignment) noexcept {
    return (address_of(p) & (alignment - 1)) == 0;
  }

  static constexpr std::uint32_t alignment_pages(std::size_t alignment) noexcept {
    return alignment <= page_bytes ? 1 : static_cast<std::uint32_t>(alignment / page_bytes);
  }

  /// The entry of the page at `p`; nullptr for what is not in a miniheap, and so could be large.
  [[nodiscard]] page_entry* entry_of(const void* p) const noexcept {
    return store().contains(base_of(p)) ? &entry_at(p) : nullptr;
  }

  /// The same where it takes a load; also nullptr where a search would have to tell.
  [[nodiscard, gnu::always_inline]] page_entry* recent_entry_of(const void* p) const noexcept {
    return store().contains_recently(base_of(p)) ? &entry_at(p) : nullptr;
  }

  static std::uintptr_t base_of(const void* p) noexcept { return align_down(address_of(p), Config.miniheap_bytes); }

  [[gnu::always_inline]] static page_entry& entry_at(const void* p) noexcept {
    const std::uintptr_t address = address_of(p);
    return shape::map_of(address)[shape::page_at(shape::offset_of(address))];
  }

  [[gnu::noinline]] void* allocate_more(std::size_t bytes, std::size_t alignment) noexcept {
    if constexpr (checked) supply().stop_callback(identity_);
    if (!is_possible(bytes, alignment)) return nullptr;
    bytes = at_least_one(bytes);
    return route_of(bytes, alignment) == route::medium ? allocate_medium(bytes, alignment)
                                                       : store().allocate_large(bytes, alignment);
  }

  /// Perhaps what is kept for reuse is what is missing.
  [[gnu::noinline, gnu::cold]] void* allocate_after_trim(std::size_t bytes, std::size_t alignment) noexcept {
    if (!is_possible(bytes, alignment)) return nullptr;
    const bool has_more_pages = trim(0) != 0;
    if (!is_small(bytes, alignment)) return has_more_pages ? allocate_more(bytes, alignment) : nullptr;
    // What is free in active slabs, of other lanes perhaps, is in bins now.
    const std::uint32_t c = size_class(aligned_request(bytes, alignment));
    if (!has_more_pages && store().all().first_with_slot(c) == nullptr) return nullptr;
    void* slot = nullptr;
    return small_.allocate_slots(c, &slot, 1, 0) != 0 ? slot : nullptr;
  }

  static bool is_possible(std::size_t bytes, std::size_t alignment) noexcept {
    return bytes <= max_request_bytes && alignment <= max_request_bytes - bytes;
  }

  void* allocate_medium(std::size_t bytes, std::size_t alignment) noexcept {
    return allocate_span(static_cast<std::uint32_t>(pages_for(bytes)), alignment_pages(alignment));
  }

  void* allocate_span(std::uint32_t pages, std::uint32_t align_pages) noexcept {
    descriptor* const with_span = store().all().first_with_span(pages + align_pages - 1);
    page_entry* const first = store().take_span(with_span, pages, align_pages);
    if (first == nullptr) return nullptr;
    first->kind = page_kind::medium;
    return shape::memory_of(first);
  }

  [[gnu::always_inline]] void deallocate_class(void* p, std::uint32_t c, std::size_t bytes,
                                               std::size_t alignment) noexcept {
    if (small_.deallocate_recent(p, c)) return;
    page_entry* const entry = recent_entry_of(p);
    if (entry == nullptr || (checked && entry->kind != slab_of_class(c))) [[unlikely]] {
      return deallocate_more_sized(p, bytes, alignment);
    }
    small_.deallocate(p, entry, c);
  }

  [[gnu::always_inline]] void deallocate_any(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    page_entry* const entry = recent_entry_of(p);
    if (entry == nullptr || !is_slab(entry->kind)) [[unlikely]]
      return deallocate_more_sized(p, bytes, alignment);
    const std::uint32_t c = class_of_slab(entry->kind);
    if (checked && !shapes[c].serves(aligned_request(bytes, alignment))) [[unlikely]] {
      return deallocate_more_sized(p, bytes, alignment);
    }
    small_.deallocate(p, entry, c);
  }

  /// Whatever is not as the fast path expects it: medium, large, in a miniheap that was not seen lately, or a fault.
  [[gnu::noinline]] void deallocate_more(void* p) noexcept {
    if constexpr (checked) supply().stop_callback(identity_);
    page_entry* const entry = entry_of(p);
    if (entry == nullptr) {
      large_bytes(p);
      return store().deallocate_large(address_of(p));
    }
    // Perhaps for a thread cache, which will look whether it is free.
    if (is_slab(entry->kind)) return small_.deallocate(p, entry, class_of_slab(entry->kind), true);
    medium_bytes(p, entry);
    descriptor& m = miniheap_of(entry);
    store().give_span(m, entry);
    small_.span_given(m);
  }

  /// The same where the caller says how many bytes were asked for.
  [[gnu::noinline]] void deallocate_more_sized(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    if constexpr (checked) {
      const page_entry* const entry = entry_of(p);
      const bool is_right = entry != nullptr && is_slab(entry->kind)
                                ? shapes[class_of_slab(entry->kind)].serves(aligned_request(bytes, alignment))
                                : align_up(at_least_one(bytes), page_bytes) == usable_size(p);
      if (!is_right && entry != nullptr) identity_.stop_in_miniheap(faults::wrong_size, p, bytes);
      if (!is_right) identity_.stop(faults::wrong_size, p, bytes);
    }
    deallocate_more(p);
  }

  /// \name Usable bytes of an allocation; a fault where there is none.
  ///@{
  std::size_t large_bytes(const void* p) const noexcept {
    const std::size_t bytes = large().bytes_at(address_of(p));
    if (checked && bytes == 0) {
      identity_.stop(large().contains(address_of(p)) ? faults::interior : faults::foreign, p);
    }
    return bytes;
  }

  std::size_t medium_bytes(const void* p, const page_entry* entry) const noexcept {
    if (checked && (entry->kind != page_kind::medium || !is_aligned(p, page_bytes))) {
      // A slab that was emptied has become free pages, so whatever is aligned like a slot in them may have been one.
      const bool is_free = entry->kind == page_kind::free && is_aligned(p, default_alignment) &&
                           miniheap_of(entry).spans().is_free(shape::page_of(entry));
      identity_.stop_in_miniheap(is_free ? faults::double_free : faults::interior, p);
    }
    return entry->pages * page_bytes;
  }

  [[nodiscard]] std::size_t slot_bytes(const void* p, const page_entry* entry) const noexcept {
    const slab_shape& slots = shapes[class_of_slab(entry->kind)];
    if constexpr (checked) {
      const page_entry* const slab = entry - entry->back;
      const auto offset_bytes = static_cast<std::uint32_t>(address_of(p) - address_of(shape::memory_of(slab)));
      const std::uint64_t position = slots.position(offset_bytes);
      if (!slots.is_start(position)) identity_.stop_in_miniheap(faults::interior, p);
      if (small_.is_free(*slab, slots.slot_of(position)))
        identity_.stop_in_miniheap(faults::double_free, p, slots.slot_bytes);
    }
    return slots.slot_bytes;
  }
  ///@}

  void* resize_large(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    if (bytes > max_request_bytes) return nullptr;
    if (void* const q = store().resize_large(address_of(p), bytes, alignment)) return q;
    if constexpr (remapping_page_source<Source>) {
      if (trim(0) != 0) return store().resize_large(address_of(p), bytes, alignment);  // perhaps that was missing
    }
    return nullptr;
  }

  void* resize_medium(page_entry* first, std::size_t bytes) noexcept {
    const auto pages = static_cast<std::uint32_t>(pages_for(bytes));
    descriptor& m = miniheap_of(first);
    if (pages < first->pages) {
      store().give_span(m, first, pages);
      store().settle();
    }
    return pages <= first->pages || store().extend_span(m, first, pages) ? shape::memory_of(first) : nullptr;
  }

  /// Whether a slot had better be allocated anew, which will be in a fuller miniheap or slab.
  bool is_to_float(const page_entry* entry, std::uint32_t c) noexcept {
    return shapes[c].slot_bytes <= Config.float_limit_bytes &&
           small_.activate_fuller(*(entry - entry->back), c, Config.float_gain_levels, Config.float_gain_slots);
  }

  void* move(void* p, std::size_t old_bytes, std::size_t bytes, std::size_t alignment) noexcept {
    void* const q = allocate(bytes, alignment);
    if (q == nullptr) return nullptr;
    std::memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    deallocate(p);
    return q;
  }

  arena_identity identity_;
  Small<store_type, checked> small_;
  std::size_t layer_bytes_ = 0;  // mapped by `map_metadata`
};

}  // namespace miniheap::detail

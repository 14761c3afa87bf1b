// SPDX-License-Identifier: BSL-1.0
/// \file
/// The miniheaps of an arena as memory: maps them, keeps empty ones in reserve, gives them back.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/address_index.hpp>
#include <miniheap/detail/miniheap_set.hpp>
#include <miniheap/detail/page_supply.hpp>

namespace miniheap::detail {

/// Every miniheap is in the set and in the index. Empty ones take no more than `Config.reserve_bytes`, unless the page
/// source refuses to take them.
template <page_source Source, fit_policy Fit, selection_policy Selection, arena_config Config,
          class Lock = no_lock::null_mutex>
class miniheap_store {
 public:
  using source_type = Source;
  using shape = geometry<Config.miniheap_bytes>;
  using set = miniheap_set<shape, Fit, Selection, Lock>;
  using descriptor = typename set::descriptor;

  explicit miniheap_store(Source source) : supply_{static_cast<Source&&>(source)} {}
  miniheap_store(const miniheap_store&) = delete;
  miniheap_store& operator=(const miniheap_store&) = delete;

  [[nodiscard]] auto& supply() noexcept { return supply_; }
  [[nodiscard]] const auto& supply() const noexcept { return supply_; }
  [[nodiscard]] set& all() noexcept { return miniheaps_; }
  [[nodiscard]] const set& all() const noexcept { return miniheaps_; }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept {
    return descriptors_.mapped_bytes() + index_.mapped_bytes();
  }

  /// Whether a miniheap starts at `base`. O(1); reads nothing there.
  [[nodiscard]] bool contains(std::uintptr_t base) const noexcept { return index_.contains(base); }

  /// The same where it takes one load; false also where only a search would tell.
  [[nodiscard, gnu::always_inline]] bool contains_recently(std::uintptr_t base) const noexcept {
    return index_.contains_recently(base);
  }

  /// The reserve has room for all miniheaps together, so each may stay, empty or not.
  [[nodiscard]] bool fits_reserve() const noexcept { return fits_reserve_; }

  /// What is mapped from now on had better be in huge pages.
  [[nodiscard]] bool is_large_enough_for_huge_pages() const noexcept {
    return Config.huge_pages_from_bytes != 0 && supply_.mapped_bytes() > Config.huge_pages_from_bytes;
  }

  /// A span in the first miniheap in the order of selection that has room, at last in a new one. nullptr: no memory.
  page_entry* take_span(descriptor* first_choice, std::uint32_t pages, std::uint32_t align_pages) noexcept {
    if (first_choice != nullptr) {
      if (page_entry* const first = take_span_of(*first_choice, pages, align_pages)) return first;
    }
    descriptor* last_resort = map_miniheap();
    if (last_resort == nullptr)
      last_resort = miniheaps_.any_with_span(pages + align_pages - 1);  // one that a quick look passed over
    return last_resort == nullptr ? nullptr : take_span_of(*last_resort, pages, align_pages);
  }

  /// A miniheap has become empty: it stays if the reserve has room, else it goes back.
  void settle_empty(descriptor& m) noexcept {
    if (miniheaps_.empty_count() * Config.miniheap_bytes > Config.reserve_bytes) unmap_miniheap(m);
  }

  /// Unmaps every empty miniheap, and the metadata when there is nothing to describe. Bytes of miniheaps that went
  /// back.
  std::size_t trim() noexcept {
    std::size_t bytes = 0;
    miniheaps_.for_each([&](descriptor& m) {
      if (m.is_empty()) bytes += unmap_miniheap(m);
    });
    if (miniheaps_.size() == 0) release_metadata();
    return bytes;
  }

  /// Drops the contents of the free spans in which pages were freed since the last time. Bytes dropped.
  std::size_t purge_free_spans() noexcept {
    std::size_t bytes = 0;
    miniheaps_.for_each([&](descriptor& m) {
      if (m.has_dirty_spans) bytes += purge_free_spans(m);
    });
    return bytes;
  }

  /// Unmaps every miniheap, used or not. One that the page source will not take stays, empty.
  void release() noexcept {
    set kept;
    miniheaps_.for_each([&](descriptor& m) {
      void* const memory = m.map();
      const std::uint64_t sequence = m.key().sequence;
      index_.erase(address_of(memory));
      m.~descriptor();
      if (supply_.unmap(memory, Config.miniheap_bytes)) return give_room(&m);
      kept.insert(*::new (static_cast<void*>(&m)) descriptor{memory, sequence, false});
    });
    miniheaps_.clear();
    kept.for_each([&](descriptor& m) {
      kept.erase(m);
      miniheaps_.insert(m);
      index_.insert(address_of(m.map()));
    });
    if (miniheaps_.size() == 0) release_metadata();
    update_fits_reserve();
  }

  [[nodiscard]] check_result check() const noexcept {
    if (const check_result result = miniheaps_.check(); !result) return result;
    check_result result;
    miniheaps_.for_each([&](const descriptor& m) {
      if (!index_.contains(address_of(m.map()))) result = {"each miniheap is in the index", m.map()};
    });
    if (index_.size() != miniheaps_.size()) return {"only miniheaps are in the index", this};
    return result;
  }

 private:
  page_entry* take_span_of(descriptor& m, std::uint32_t pages, std::uint32_t align_pages) noexcept {
    page_entry* const first = miniheaps_.take_span(m, pages, align_pages);
    if constexpr (hinted_page_source<Source>) {
      if (first != nullptr && shape::page_of(first) + pages > m.first_untouched) populate(m, *first);
    }
    return first;
  }

  /// A used span reaches into pages that were never touched. In a miniheap that is being filled these are populated in
  /// one call together with some that will follow, in proportion to what is in use, so that a small arena stays small.
  /// Long spans are left to the program: it may never touch all of them.
  void populate(descriptor& m, const page_entry& first) noexcept {
    constexpr std::uint32_t most_pages = 64;
    const std::uint32_t begin = shape::page_of(&first) < m.first_untouched ? m.first_untouched : shape::page_of(&first);
    std::uint32_t end = shape::page_of(&first) + first.pages;
    if (!m.has_huge_pages && end - begin <= most_pages / 4) {
      const std::uint32_t used_pages =
          m.used_pages() + (miniheaps_.size() > 1 ? shape::pages : 0);  // others are fuller, so most of one at least
      const std::uint32_t ahead = used_pages / 16 < most_pages ? used_pages / 16 : most_pages;
      end = end + ahead < shape::pages ? end + ahead : shape::pages;
      if (end - begin > 1) supply_.populate(shape::memory_of(m.map() + begin), (end - begin) * page_bytes);
      m.has_dirty_spans = true;
    }
    m.first_untouched = end;
  }

  /// A new empty miniheap, or nullptr and nothing has changed.
  descriptor* map_miniheap() noexcept {
    if (!index_.reserve(supply_)) return nullptr;
    void* const room = take_room();
    if (room == nullptr) return nullptr;
    const bool is_dense = is_large_enough_for_huge_pages();
    void* const memory = supply_.map(Config.miniheap_bytes, Config.miniheap_bytes);
    if (memory == nullptr) {
      give_room(room);
      return nullptr;
    }
    descriptor& m = *::new (room) descriptor{memory, next_sequence_++, maps_zeroed<Source>};
    if (is_dense) {
      supply_.prefer_huge_pages(memory, Config.miniheap_bytes);
      m.has_huge_pages = true;
    }
    index_.insert(address_of(memory));
    miniheaps_.insert(m);
    update_fits_reserve();
    return &m;
  }

  /// Unmaps an empty miniheap. If the page source will not take it, it stays in the reserve. Bytes that went back.
  std::size_t unmap_miniheap(descriptor& m) noexcept {
    void* const memory = m.map();
    if (!supply_.unmap(memory, Config.miniheap_bytes)) return 0;
    miniheaps_.erase(m);
    index_.erase(address_of(memory));
    m.~descriptor();
    give_room(&m);
    update_fits_reserve();
    return Config.miniheap_bytes;
  }

  std::size_t purge_free_spans(descriptor& m) noexcept {
    std::size_t bytes = 0;
    m.has_dirty_spans = false;
    m.for_each_span([&](const page_entry& first, bool is_free) {
      if (!is_free) return;
      const std::uint32_t page = shape::page_of(&first);
      if (supply_.purge(shape::memory_of(&first), first.pages * page_bytes)) {
        bytes += first.pages * page_bytes;
        if (page + first.pages == shape::pages && page < m.first_untouched) m.first_untouched = page;
      } else {
        m.has_dirty_spans = true;
      }
    });
    return bytes;
  }

  void release_metadata() noexcept {
    index_.release(supply_);
    descriptors_.release(supply_);
  }

  void update_fits_reserve() noexcept {
    fits_reserve_ = miniheaps_.size() * Config.miniheap_bytes <= Config.reserve_bytes;
  }

  /// Room for a descriptor. The first is in here, so that a small arena needs no mapping for metadata.
  void* take_room() noexcept {
    if (first_room_taken_) return descriptors_.take(supply_);
    first_room_taken_ = true;
    return first_room_;
  }

  void give_room(void* room) noexcept {
    if (room != first_room_) return descriptors_.give(room);
    first_room_taken_ = false;
  }

  bool fits_reserve_ = true;
  bool first_room_taken_ = false;
  address_index<Config.miniheap_bytes> index_;
  page_supply<Source> supply_;
  set miniheaps_;
  record_pool<descriptor> descriptors_;
  std::uint64_t next_sequence_ = 0;
  alignas(descriptor) std::byte first_room_[sizeof(descriptor)];
};

}  // namespace miniheap::detail

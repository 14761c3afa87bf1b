// SPDX-License-Identifier: BSL-1.0
/// \file
/// An arena's memory: maps miniheaps, keeps the ranges of large allocations, holds free memory in reserve within its
/// bound, and gives the rest back.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/address_index.hpp>
#include <miniheap/detail/large.hpp>
#include <miniheap/detail/miniheap_set.hpp>
#include <miniheap/detail/page_hints.hpp>
#include <miniheap/detail/page_supply.hpp>
#include <miniheap/detail/purge_batch.hpp>
#include <miniheap/detail/random_order.hpp>
#include <miniheap/detail/reserve_bound.hpp>

#include <utility>

namespace miniheap::detail {

/// Every miniheap is in the set and in the index. After `settle` the **reserve** (empty miniheaps, dirty pages of the
/// others, idle ranges) is within its bound, unless the page source refuses to take it.
template <page_source Source, fit_policy Fit, selection_policy Selection, arena_config Config,
          class Lock = no_lock::null_mutex>
class miniheap_store {
 public:
  using source_type = Source;
  static constexpr bool is_hardened = Config.checks == beneath_hardened;
  using slot_order = std::conditional_t<is_hardened, random_order, lowest_first>;
  using shape = geometry<Config.miniheap_bytes, is_hardened ? Config.guard_every_pages : 0>;
  using set = miniheap_set<shape, Fit, Selection, Lock>;
  using descriptor = typename set::descriptor;
  using hints = page_hints<Source, Config>;

  explicit miniheap_store(Source source) : supply_{static_cast<Source&&>(source)} {}
  miniheap_store(const miniheap_store&) = delete;
  miniheap_store& operator=(const miniheap_store&) = delete;

  [[nodiscard]] auto& supply() noexcept { return supply_; }
  [[nodiscard]] const auto& supply() const noexcept { return supply_; }
  [[nodiscard]] set& all() noexcept { return miniheaps_; }
  [[nodiscard]] const set& all() const noexcept { return miniheaps_; }
  [[nodiscard]] auto& large() noexcept { return large_; }
  [[nodiscard]] const auto& large() const noexcept { return large_; }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept {
    return descriptors_.mapped_bytes() + index_.mapped_bytes() + large_.metadata_bytes();
  }
  [[nodiscard]] std::size_t in_use_bytes() const noexcept {
    return (miniheaps_.used_pages() - miniheaps_.unused_slab_pages()) * page_bytes + large_.live_bytes();
  }
  /// What that was a moment ago; any thread may ask.
  [[nodiscard]] std::size_t recent_in_use_bytes() const noexcept {
    return __atomic_load_n(&recent_in_use_bytes_, __ATOMIC_RELAXED);
  }
  /// Whether more than half of the used pages (until fewer than three in eight), and not just a few, were of slabs
  /// with free slots, a moment ago. In steady churn it is a fourth. Any thread may ask.
  [[nodiscard]] bool was_sparse() const noexcept { return __atomic_load_n(&was_sparse_, __ATOMIC_RELAXED); }
  /// What is in reserve. An empty miniheap counts as a whole.
  [[nodiscard]] std::size_t reserve_bytes() const noexcept {
    return miniheaps_.dirty_pages() * page_bytes +
           (miniheaps_.empty_count() - miniheaps_.waiting_count()) * Config.miniheap_bytes + large_.dirty_bytes();
  }
  [[nodiscard]] std::size_t reserve_limit_bytes() const noexcept { return bound_.bytes(in_use_bytes()); }

  /// Whether a miniheap starts at `base`. O(1); reads nothing there.
  [[nodiscard]] bool contains(std::uintptr_t base) const noexcept { return index_.contains(base); }

  /// The same where it takes one load; false also where only a search would tell.
  [[nodiscard, gnu::always_inline]] bool contains_recently(std::uintptr_t base) const noexcept {
    return index_.contains_recently(base);
  }

  /// The reserve could have room for all miniheaps together, so idle slabs may stay in them.
  [[nodiscard]] bool fits_reserve() const noexcept { return fits_reserve_; }

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

  /// Frees a used span from its page `pages` on. It is for the caller to `settle`.
  void give_span(descriptor& m, page_entry* first, std::uint32_t pages = 0) noexcept {
    unnoted_bytes_ += (first->pages - pages) * page_bytes;
    miniheaps_.give_span(m, first, pages);
  }

  /// Takes the free pages right behind a used span, if there are as many.
  bool extend_span(descriptor& m, page_entry* first, std::uint32_t pages) noexcept {
    const std::uint32_t more_pages = pages - first->pages;
    const std::uint32_t dirty_pages = m.dirty_pages();
    if (!miniheaps_.extend_span(m, first, pages)) return false;
    note_taken(more_pages, more_pages - (dirty_pages - m.dirty_pages()));
    return true;
  }

  void* allocate_large(std::size_t bytes, std::size_t alignment) noexcept {
    const bool is_dense = hints::wants_huge_pages(supply_.mapped_bytes());
    const bool fills = hints::fills_huge_pages(bytes);
    void* const p = large_.allocate(supply_, bytes, alignment, fills, reserve_room(bytes) / 2);
    if (p == nullptr) return nullptr;
    const bool is_fresh = large_.last_fresh_bytes() != 0;
    if (is_dense && !fills && is_fresh) supply_.prefer_huge_pages(p, align_up(bytes, page_bytes));
    note_fresh_large(bytes);
    note_activity(bytes);
    return p;
  }

  void* resize_large(std::uintptr_t address, std::size_t bytes, std::size_t alignment) noexcept {
    void* const p = large_.resize(supply_, address, bytes, alignment, hints::fills_huge_pages(bytes));
    if (p != nullptr) note_fresh_large(bytes);
    settle();  // what the page source refused is in reserve
    return p;
  }

  void deallocate_large(std::uintptr_t address) noexcept {
    unnoted_bytes_ += large_.bytes_at(address);
    large_.deallocate(address);
    settle();
  }

  /// Pages were taken; those that are clean have to be faulted in. Does not touch a miniheap that is used.
  void note_taken(std::uint32_t pages, std::uint32_t clean_pages) noexcept {
    if (clean_pages != 0) bound_.note_fresh(clean_pages * page_bytes, in_use_bytes());
    note_activity(pages * page_bytes);
  }

  /// Memory was taken, of pages or of slabs, or pages in slabs are unused. What the reserve has above its bound goes
  /// back at the end of an epoch.
  void note_activity(std::size_t bytes) noexcept {
    unnoted_bytes_ += bytes;
    if (unnoted_bytes_ < 64 * KiB) return;
    __atomic_store_n(&recent_in_use_bytes_, in_use_bytes(), __ATOMIC_RELAXED);
    const std::size_t many_pages = (was_sparse_ ? 3 : 4) * miniheaps_.used_pages() / 8;
    const bool is_sparse = miniheaps_.binned_pages() > larger(many_pages, Config.reserve_floor_bytes / page_bytes);
    __atomic_store_n(&was_sparse_, is_sparse, __ATOMIC_RELAXED);
    if (bound_.note_activity(std::exchange(unnoted_bytes_, 0), reserve_bytes(), in_use_bytes())) end_epoch();
  }

  /// Gives back what the reserve has above its bound, after memory was freed. Empty miniheaps may be gone afterwards.
  void settle() noexcept {
    note_activity(0);
    const std::size_t most_bytes = reserve_limit_bytes();
    if (reserve_bytes() > most_bytes) [[unlikely]]
      bound_.note_given_back(give_back(most_bytes - bound_.slack(most_bytes)), in_use_bytes());
  }

  /// Gives back what the reserve has above `target_bytes`, the shortest ranges and the sparsest miniheaps first, from
  /// where there is more. Bytes that were unmapped or dropped.
  std::size_t give_back(std::size_t target_bytes) noexcept {
    const std::size_t before_bytes = supply_.given_back_bytes();
    const auto settle_large = [&] {
      const std::size_t rest_bytes = reserve_bytes() - large_.dirty_bytes();
      large_.settle(supply_, target_bytes > rest_bytes ? target_bytes - rest_bytes : 0);
    };
    if (2 * large_.dirty_bytes() > reserve_bytes()) settle_large();
    give_back_pages(target_bytes);
    if (reserve_bytes() > target_bytes) settle_large();
    return supply_.given_back_bytes() - before_bytes;
  }

  /// Gives the whole reserve back, and the metadata when there is nothing to describe.
  void trim() noexcept {
    give_back(0);
    miniheaps_.for_each([this](descriptor& m) {
      if (m.is_waiting) unmap_miniheap(m);
    });
    large_.trim(supply_);
    if (miniheaps_.size() == 0) release_metadata();
  }

  /// Unmaps every miniheap, used or not. One that the page source will not take stays, empty.
  void release() noexcept {
    large_.release(supply_);
    set kept;
    miniheaps_.for_each([&](descriptor& m) {
      void* const memory = m.map();
      const std::uint64_t sequence = m.key().sequence;
      index_.erase(address_of(memory));
      m.~descriptor();
      if (supply_.unmap(memory, Config.miniheap_bytes)) return descriptors_.give(&m);
      auto& refused = *::new (static_cast<void*>(&m)) descriptor{memory, sequence, false};
      refused.soil_all();
      kept.insert(refused);
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
    return result ? large_.check() : result;
  }

 private:
  void note_fresh_large(std::size_t bytes) noexcept {
    const std::size_t discount = hints::fills_huge_pages(bytes) ? hints::huge_page_discount : 1;
    bound_.note_fresh(large_.last_fresh_bytes(), in_use_bytes(), discount);
  }

  /// What the reserve has room for, when so much more is in use.
  [[nodiscard]] std::size_t reserve_room(std::size_t more_bytes) const noexcept {
    const std::size_t most_bytes = bound_.bytes(in_use_bytes() + more_bytes);
    return most_bytes - smaller(most_bytes, reserve_bytes());
  }

  page_entry* take_span_of(descriptor& m, std::uint32_t pages, std::uint32_t align_pages) noexcept {
    const std::uint32_t dirty_pages = m.dirty_pages();
    page_entry* const first = miniheaps_.take_span(m, pages, align_pages);
    if (first == nullptr) return nullptr;
    const std::uint32_t clean_pages = pages - (dirty_pages - m.dirty_pages());
    if (hinted_page_source<Source> && clean_pages != 0)
      hints::populate(miniheaps_, supply_, *first, clean_pages, reserve_room(0) / 2);
    note_taken(pages, clean_pages);
    return first;
  }

  /// The bound may be lower now: what has not been needed since the last epoch goes first.
  void end_epoch() noexcept {
    const std::size_t before_bytes = supply_.given_back_bytes();
    std::size_t old_bytes = large_.take_least_dirty_bytes();
    miniheaps_.for_each_in_reserve([&](descriptor& m) {
      old_bytes += m.old_pages() * page_bytes;
      return true;
    });
    bound_.end_epoch(reserve_bytes(), old_bytes, in_use_bytes());
    const std::size_t most_bytes = reserve_limit_bytes();
    purge_old_pages(most_bytes);
    if (reserve_bytes() > most_bytes) give_back(most_bytes);
    bound_.note_given_back(supply_.given_back_bytes() - before_bytes, in_use_bytes());
  }

  /// Until no more than `most_bytes` are in reserve. What is left grows old.
  [[gnu::noinline]] void purge_old_pages(std::size_t most_bytes) noexcept {
    purge_batch batch{miniheaps_, supply_};
    miniheaps_.for_each_in_reserve([&](descriptor& m) {
      if (reserve_bytes() > most_bytes && !m.is_empty() && !m.was_refused) batch.add(m, true);
      m.make_dirty_pages_old();
      return true;
    });
  }

  /// Of empty miniheaps and dirty pages. Of the miniheaps that the page source has refused, one is tried again in each
  /// call, and the others if it is taken then.
  [[gnu::noinline]] void give_back_pages(std::size_t target_bytes) noexcept {
    purge_batch batch{miniheaps_, supply_};
    bool is_refused = false;
    bool is_one_by_one = false;
    const auto visit = [&](descriptor& m) {
      if (reserve_bytes() <= target_bytes) return false;
      if (m.was_refused && is_refused) return true;
      if (m.is_empty() && unmap_miniheap(m)) return true;
      const bool is_alone = is_one_by_one || m.was_refused;
      batch.add(m);
      if (is_alone) {
        batch.flush();
        is_refused |= m.was_refused;
      }
      if (m.is_empty()) miniheaps_.let_wait(m);
      return true;
    };
    miniheaps_.for_each_in_reserve(visit);
    batch.flush();
    is_refused = is_one_by_one = true;
    miniheaps_.for_each_in_reserve(visit);  // in place of what was refused
  }

  /// A new empty miniheap, or nullptr and nothing has changed.
  descriptor* map_miniheap() noexcept {
    if (!index_.reserve(supply_)) return nullptr;
    void* const room = descriptors_.take(supply_);
    if (room == nullptr) return nullptr;
    const bool in_huge_pages = hints::wants_huge_pages(supply_.mapped_bytes());
    void* const memory = supply_.map(Config.miniheap_bytes, Config.miniheap_bytes);
    if (memory == nullptr) {
      descriptors_.give(room);
      return nullptr;
    }
    descriptor& m = *::new (room) descriptor{memory, next_sequence_++, maps_zeroed<Source>};
    supply_.template protect_guards<shape>(memory);
    supply_.note_unused(shape::memory_of(m.map() + shape::head_pages), shape::usable_pages * page_bytes);
    if (in_huge_pages) {
      supply_.prefer_huge_pages(memory, Config.miniheap_bytes);
      m.has_huge_pages = true;
    }
    index_.insert(address_of(memory));
    miniheaps_.insert(m);
    update_fits_reserve();
    bound_.note_fresh(Config.miniheap_bytes, in_use_bytes());
    return &m;
  }

  /// Unmaps an empty miniheap. False: the page source will not take it, and it stays.
  bool unmap_miniheap(descriptor& m) noexcept {
    void* const memory = m.map();
    if (!supply_.unmap(memory, Config.miniheap_bytes)) return false;
    miniheaps_.erase(m);
    index_.erase(address_of(memory));
    m.~descriptor();
    descriptors_.give(&m);
    update_fits_reserve();
    return true;
  }

  void release_metadata() noexcept {
    index_.release(supply_);
    descriptors_.release(supply_);
  }

  void update_fits_reserve() noexcept {
    fits_reserve_ = miniheaps_.size() * Config.miniheap_bytes <= Config.reserve_ceiling_bytes;
  }

  bool fits_reserve_ = true;
  address_index<Config.miniheap_bytes> index_;
  page_supply<Source> supply_;
  set miniheaps_;
  large_allocations large_;
  reserve_bound<Config> bound_;
  std::size_t recent_in_use_bytes_ = 0;
  bool was_sparse_ = false;
  std::size_t unnoted_bytes_ = 0;  // of activity that the bound does not know of yet
  record_pool_with_first<descriptor> descriptors_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace miniheap::detail

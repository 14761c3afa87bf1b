// SPDX-License-Identifier: BSL-1.0
/// \file
/// Puts slabs into their bins and takes them out again, and keeps account of the pages in them that no used slot lies
/// on: they are part of the reserve, as free pages are.
#pragma once

#include <miniheap/detail/miniheap_store.hpp>

namespace miniheap::detail {

/// A slab of several pages is **counted** while it is in a bin: its unused pages are dirty or clean. What is active is
/// about to be used, and what is full has no unused page.
template <class Store>
class counted_bins {
 public:
  using descriptor = typename Store::descriptor;

  explicit counted_bins(Store& store) noexcept : store_{store} {}

  /// Puts a slab with a free slot into its bin. O(1), or O(log n) when the bin was empty.
  void add(descriptor& m, page_entry& slab) noexcept {
    store_.all().add_to_bin(m, slab);
    if (slab.pages > 1) begin_to_count(m, slab, unused_pages(slab));
  }

  /// The same of one that was full until `slot` was freed.
  void add_first(descriptor& m, page_entry& slab, std::uint32_t slot) noexcept {
    detail::put_back(slab, slot);
    store_.all().add_to_bin(m, slab);
    if (slab.pages > 1) begin_to_count(m, slab, unused_pages_of_slot(slab, slot));
  }

  /// Takes a slab, the slots of which are to be used next, out of its bin.
  void take(descriptor& m, page_entry& slab) noexcept {
    store_.all().remove_from_bin(m, slab);
    slab.used &= used_mask;
    if (slab.unused != 0) take_pages(m, slab);
  }

  /// Frees a slot of a slab that is in its bin. True: pages became unused, and it is for the caller to `settle`.
  bool put_back(descriptor& m, page_entry& slab, std::uint32_t slot) noexcept {
    detail::put_back(slab, slot);
    if (!is_counted(slab)) return false;
    const slab_page_set pages = unused_pages_of_slot(slab, slot);
    return pages != 0 && count_more(m, slab, pages);
  }

  /// A slab all slots of which are free, and which is in no bin any more, becomes a free span. It is for the caller to
  /// `settle`.
  void give(descriptor& m, page_entry& slab) noexcept {
    const bool was_counted = is_counted(slab);
    unmake_slab(&slab);
    if (was_counted) {
      store_.all().give_unused_slab(m, &slab);
    } else {
      store_.give_span(m, &slab);
    }
  }

  /// The fullest of the first few slabs in a bin that is not empty; it is the first then.
  static page_entry& bring_fullest_forward(descriptor& m, std::uint32_t c) noexcept {
    page_entry_list& slabs = m.bin_of(c).slabs;
    auto fullest = slabs.begin();
    int left = 8;
    for (auto it = fullest; it != slabs.end() && left-- != 0; ++it) {
      if (used_slots(*it) > used_slots(*fullest)) fullest = it;
    }
    slabs.splice(slabs.begin(), slabs, fullest);
    return *fullest;
  }

  /// The first slab of a lane among the first few in the first few bins of a size class; nullptr: there is none. Odd
  /// lanes have theirs at the back.
  page_entry* first_of_lane(std::uint32_t c, std::uint32_t lane) noexcept {
    page_entry* found = nullptr;
    store_.all().find_with_slot(c, 4, [&](descriptor& m) {
      page_entry_list& slabs = m.bin_of(c).slabs;
      found = lane % 2 == 0 ? first_of_lane(slabs.begin(), slabs.end(), lane)
                            : first_of_lane(slabs.rbegin(), slabs.rend(), lane);
      return found != nullptr;
    });
    return found;
  }

  /// Whether a slab knows if it is counted.
  [[nodiscard]] static const char* check(const page_entry& slab) noexcept {
    const bool is_in_bin = !is_active(slab) && !is_full(slab);
    if (is_counted(slab) != (is_in_bin && slab.pages > 1)) return "the slabs of several pages in bins are counted";
    if (slab.unused != (is_counted(slab) ? unused_pages(slab) : 0))
      return "a slab that is counted knows its unused pages";
    return nullptr;
  }

 private:
  template <class Iterator>
  static page_entry* first_of_lane(Iterator it, Iterator end, std::uint32_t lane) noexcept {
    for (int left = 8; it != end && left != 0; ++it, --left) {
      if (it->lane == lane) return &*it;
    }
    return nullptr;
  }

  void begin_to_count(descriptor& m, page_entry& slab, slab_page_set pages) noexcept {
    slab.used |= counted_mark;
    if (pages != 0 && count_more(m, slab, pages)) store_.settle();
  }

  [[gnu::noinline]] bool count_more(descriptor& m, page_entry& slab, slab_page_set pages) noexcept {
    store_.note_activity(store_.all().give_slab_pages(m, slab, pages) * page_bytes);
    return true;
  }

  /// Clean pages of a slab, which is about to be used, are populated in one call.
  [[gnu::noinline]] void take_pages(descriptor& m, page_entry& slab) noexcept {
    const auto taken = store_.all().take_slab_pages(m, slab);
    if (taken.clean_pages > 1) store_.supply().populate(Store::shape::memory_of(&slab), slab.pages * page_bytes);
    store_.note_taken(taken.pages, taken.clean_pages);
  }

  Store& store_;
};

}  // namespace miniheap::detail

// SPDX-License-Identifier: BSL-1.0
/// \file
/// The descriptor of one miniheap: what is known of it outside its own memory. It does what concerns one miniheap only;
/// the trees across miniheaps are in miniheap_set.hpp.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/free_spans.hpp>
#include <miniheap/detail/slab_pages.hpp>
#include <miniheap/policy/lock.hpp>

#include <boost/intrusive/set_hook.hpp>

#include <new>
#include <utility>

namespace miniheap::detail {

using tree_hook = boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                  boost::intrusive::optimize_size<true>>;
struct reserve_tag;
using reserve_hook = boost::intrusive::set_base_hook<boost::intrusive::tag<reserve_tag>,
                                                     boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                     boost::intrusive::optimize_size<true>>;
struct all_tag;
using all_hook = boost::intrusive::list_base_hook<boost::intrusive::tag<all_tag>,
                                                  boost::intrusive::link_mode<boost::intrusive::normal_link>>;

/// How `used` of `total` pages is quantised. The level stays where it is until it is wrong by half a step, so that
/// allocations around a border do not re-order the miniheaps each time. Only an empty miniheap has level 0.
constexpr unsigned next_level(unsigned level, std::uint32_t used, std::uint32_t total) noexcept {
  if (used == 0) return 0;
  const std::uint32_t exact = (used * occupancy_levels + total - 1) / total;  // 1 to occupancy_levels
  if (level == 0) return exact;
  const std::uint32_t slack = total / (2 * occupancy_levels);
  const std::uint32_t low = (level - 1) * total / occupancy_levels;
  const std::uint32_t high = level * total / occupancy_levels;
  return used + slack > low && used <= high + slack ? level : exact;
}

/// `Lock` is for the engine that lets several threads in; see concurrent_core.hpp.
template <class Geometry, fit_policy Fit, class Lock = no_lock::null_mutex>
class miniheap_descriptor : public tree_hook, public reserve_hook, public all_hook {
 public:
  using shape = Geometry;

  /// The slabs of one size class that have a free slot and are not active. Every such slab of the miniheap is in it;
  /// the bin itself is in a tree of the arena while it is not empty.
  struct bin : tree_hook {
    miniheap_descriptor* owner = nullptr;
    page_entry_list slabs;
  };

  /// Takes charge of `Geometry::miniheap_bytes` bytes at `memory`. Zeroed memory stays untouched but for one page of
  /// the head; it is touched further as far as the miniheap is used. O(pages).
  miniheap_descriptor(void* memory, std::uint64_t sequence, bool is_zeroed) noexcept
      : map_{static_cast<page_entry*>(memory)}, key_{0, address_of(memory), sequence} {
    for (bin& b : bins_) b.owner = this;
    for (std::uint32_t page = 0; page < Geometry::head_pages; ++page) map_[page].kind = page_kind::head;
    for (std::uint32_t page = Geometry::head_pages; page < Geometry::pages && !is_zeroed; ++page) {
      map_[page].kind = page_kind::free;
    }
    map_[0].descriptor = this;
    for (std::uint32_t page = Geometry::head_pages; page < Geometry::pages;) {
      const std::uint32_t pages = Geometry::pages_to_guard(page);
      if (pages != 0) spans_.add({page, pages});
      page += pages + 1;
    }
  }

  miniheap_descriptor(const miniheap_descriptor&) = delete;
  miniheap_descriptor& operator=(const miniheap_descriptor&) = delete;

  /// The descriptor of the miniheap that `address` lies in.
  static miniheap_descriptor& of(std::uintptr_t address) noexcept {
    return *static_cast<miniheap_descriptor*>(Geometry::map_of(address)->descriptor);
  }

  [[nodiscard]] page_entry* map() const noexcept { return map_; }
  [[nodiscard]] const occupancy& key() const noexcept { return key_; }
  [[nodiscard]] const free_spans<Geometry>& spans() const noexcept { return spans_; }
  [[nodiscard]] std::uint32_t used_pages() const noexcept { return used_pages_; }
  [[nodiscard]] bool is_empty() const noexcept { return used_pages_ == 0; }
  /// Free pages, and unused ones of slabs that are counted, that were touched since they were mapped or purged.
  [[nodiscard]] std::uint32_t dirty_pages() const noexcept { return dirty_pages_; }
  [[nodiscard]] bin& bin_of(std::uint32_t size_class) noexcept { return bins_[size_class]; }
  [[nodiscard]] const bin& bin_of(std::uint32_t size_class) const noexcept { return bins_[size_class]; }

  [[no_unique_address]] Lock lock;
  /// The kernel was asked for huge pages: one fault makes 2 MiB of it resident.
  bool has_huge_pages = false;
  /// The page source did not take the contents of its free pages when it was asked to.
  bool was_refused = false;
  /// It is empty, and the page source would not take it. So it waits, and is no part of the reserve.
  bool is_waiting = false;
  /// It is in the tree of those that have something to give back; the set keeps it.
  bool is_in_reserve = false;
  /// Pages of active slabs in it.
  std::uint32_t active_pages = 0;

  /// Finds room for `pages` pages at a multiple of `align_pages`, and takes it. Returns the first page's entry, of no
  /// kind yet, or nullptr. Complexity is the fit policy's.
  page_entry* take_span(std::uint32_t pages, std::uint32_t align_pages) noexcept {
    const free_span found = Fit::choose(spans_, pages + align_pages - 1, fit_state_);
    if (!found) return nullptr;
    const free_span taken{align_up(found.first, align_pages), pages};
    spans_.take(found, taken);
    use(taken);
    map_[taken.first].pages = pages;
    return &map_[taken.first];
  }

  /// Takes the free pages right behind a used span, if there are as many. O(1).
  bool extend_span(page_entry* first, std::uint32_t pages) noexcept {
    const std::uint32_t more = pages - first->pages;
    const free_span behind = spans_.starting_at(Geometry::page_of(first) + first->pages);
    if (behind.pages < more) return false;
    spans_.take(behind, {behind.first, more});
    use({behind.first, more});
    first->pages = pages;
    return true;
  }

  /// Frees the end of a used span, from its page `pages` on; with 0, all of it. O(1).
  void give_span(page_entry* first, std::uint32_t pages) noexcept {
    const std::uint32_t freed = first->pages - pages;
    if (pages == 0) first->kind = page_kind::free;
    first->pages = pages;
    used_pages_ -= freed;
    const free_span span{Geometry::page_of(first) + pages, freed};
    soil(span);
    spans_.add(span);
  }

  /// Of slabs that are counted: pages that no used slot lies on.
  [[nodiscard]] std::uint32_t unused_slab_pages() const noexcept { return unused_slab_pages_; }

  /// Pages of a slab have become unused; they are dirty. How many.
  std::uint32_t give_slab_pages(page_entry& slab, slab_page_set pages) noexcept {
    std::uint32_t count = 0;
    slab.unused |= pages;
    for_each_page(pages, Geometry::page_of(&slab), [&](std::uint32_t page) {
      dirty_.set(page, 1);
      ++count;
    });
    dirty_pages_ += count;
    unused_slab_pages_ += count;
    return count;
  }

  struct taken_pages {
    std::uint32_t pages = 0;
    std::uint32_t clean_pages = 0;
  };

  /// The unused pages of a slab are about to be used.
  taken_pages take_slab_pages(page_entry& slab) noexcept {
    taken_pages taken;
    for_each_page(std::exchange(slab.unused, slab_page_set{0}), Geometry::page_of(&slab), [&](std::uint32_t page) {
      if (!dirty_.test(page)) ++taken.clean_pages;
      dirty_.clear(page, 1);
      old_.clear(page, 1);
      ++taken.pages;
    });
    dirty_pages_ -= taken.pages - taken.clean_pages;
    unused_slab_pages_ -= taken.pages;
    return taken;
  }

  /// Frees a slab all pages of which are unused: they stay dirty or clean. O(1).
  void give_unused_slab(page_entry* first) noexcept {
    const free_span span{Geometry::page_of(first), first->pages};
    used_pages_ -= span.pages;
    unused_slab_pages_ -= span.pages;
    spans_.add(span);
  }

  /// How many of the free pages from `first` on, up to `most`, were not touched yet. O(1) in 64 pages.
  [[nodiscard]] std::uint32_t clean_pages_at(std::uint32_t first, std::uint32_t most) const noexcept {
    const std::uint32_t end = smaller(smaller(dirty_.find_from(first), spans_.end_of_free(first)), first + most);
    return end - first;
  }

  /// Free pages, or unused ones of slabs, none of them dirty, become so.
  void soil(free_span span) noexcept {
    dirty_.set(span.first, span.pages);
    dirty_pages_ += span.pages;
  }

  /// All free pages become dirty, and all unused pages of slabs that are counted.
  void soil_all() noexcept {
    dirty_ = spans_.pages();
    for_each_unused_slab_page([this](std::uint32_t page) { dirty_.set(page, 1); });
    dirty_pages_ = dirty_.count();
  }

  /// Calls `take(first page, pages)` for each row of dirty pages, or of those that are old. Those that it returns true
  /// for are clean then; where it does not, that is the end, and false. O(pages / 64 + rows).
  template <class Take>
  bool clean(Take take) noexcept {
    return clean(dirty_, take);
  }
  template <class Take>
  bool clean_old(Take take) noexcept {
    return clean(old_, take);
  }

  void make_dirty_pages_old() noexcept { old_ = dirty_; }
  /// Those that are dirty since then. O(pages / 64).
  [[nodiscard]] std::uint32_t old_pages() const noexcept { return old_.count(); }

  /// What the level should be now.
  [[nodiscard]] unsigned wanted_level() const noexcept {
    return next_level(key_.level, used_pages_, Geometry::usable_pages);
  }

  /// Only while no node of this miniheap is in a tree: `miniheap_set::rekey_guard` sees to that.
  void set_level(unsigned level) noexcept { key_.level = level; }

  /// Calls `visit(first entry, is_free)` for each span in address order. O(spans).
  template <class Visit>
  void for_each_span(Visit visit) const {
    for (std::uint32_t page = Geometry::head_pages; page < Geometry::pages;) {
      if (Geometry::is_guard(page)) {
        ++page;
        continue;
      }
      page_entry& first = map_[page];
      const free_span span = spans_.starting_at(page);
      if (span) first.pages = span.pages;  // nobody else keeps it there
      page += first.pages;
      visit(std::as_const(first), static_cast<bool>(span));
    }
  }

  /// The invariants of this miniheap. O(pages).
  [[nodiscard]] const char* check() const noexcept {
    if (const char* broken = spans_.check()) return broken;
    std::uint32_t used = 0;
    std::array<std::uint32_t, size_classes> with_free_slot{};
    const char* broken = nullptr;
    for_each_span([&](const page_entry& first, bool is_free) {
      for (std::uint32_t n = is_free ? 0 : 1; n < first.pages && (is_free || first.kind == page_kind::medium); ++n) {
        if ((&first)[n].kind != page_kind::free) broken = "an entry that nothing starts at has kind free";
      }
      if (is_free) return;
      used += first.pages;
      if (first.kind == page_kind::medium) return;
      if (!is_slab(first.kind)) {
        broken = "a used span is a slab or medium";
      } else if (const char* slab_broken = check_slab(&first)) {
        broken = slab_broken;
      } else if (used_slots(first) == 0 && !is_active(first)) {
        broken = "a slab without a used slot is active or a free span";
      } else if (!is_active(first) && !is_full(first)) {
        ++with_free_slot[class_of_slab(first.kind)];
      }
    });
    if (broken != nullptr) return broken;
    if (used != used_pages_ || used + spans_.free_pages() != Geometry::usable_pages) return "each page is used or free";
    bitmap<Geometry::pages> unused = spans_.pages();
    for_each_unused_slab_page([&](std::uint32_t page) { unused.set(page, 1); });
    if (unused.count() - spans_.free_pages() != unused_slab_pages_) return "the unused pages of slabs are counted";
    for (std::uint32_t page = 0; page < Geometry::pages; ++page) {
      if (dirty_.test(page) && !unused.test(page)) return "dirty pages are free pages, or unused ones of a slab";
    }
    for (std::uint32_t page = 0; page < Geometry::pages; ++page) {
      if (old_.test(page) && !dirty_.test(page)) return "old pages are dirty pages";
    }
    if (dirty_.count() != dirty_pages_) return "the dirty pages are counted";
    for (std::uint32_t c = 0; c < size_classes; ++c) {
      for (const page_entry& slab : bins_[c].slabs) {
        if (slab.kind != slab_of_class(c) || is_full(slab) || is_active(slab)) {
          return "a bin has the slabs of its size class that have a free slot";
        }
        --with_free_slot[c];
      }
      if (with_free_slot[c] != 0) return "each slab that has a free slot is in a bin or active";
    }
    if (map_[0].descriptor != this || map_[0].kind != page_kind::head) return "the head names the descriptor";
    return key_.level == wanted_level() ? nullptr : "the level follows the used pages";
  }

 private:
  void use(free_span taken) noexcept {
    used_pages_ += taken.pages;
    if (dirty_pages_ != 0) make_clean(taken);
  }

  template <class Visit>
  void for_each_unused_slab_page(Visit visit) const {
    for (const bin& b : bins_) {
      for (const page_entry& slab : b.slabs) {
        if (is_counted(slab)) for_each_page(slab.unused, Geometry::page_of(&slab), visit);
      }
    }
  }

  template <class Take>
  bool clean(const bitmap<Geometry::pages>& which, Take take) noexcept {
    for (std::uint32_t page = which.find_from(0); page < Geometry::pages; page = which.find_from(page)) {
      const std::uint32_t pages = which.find_clear_from(page) - page;
      if (!take(page, pages)) return false;
      make_clean({page, pages});
    }
    return true;
  }

  void make_clean(free_span pages) noexcept {
    const std::uint32_t taken = dirty_.take(pages.first, pages.pages);
    if (taken == 0) return;
    dirty_pages_ -= taken;
    old_.clear(pages.first, pages.pages);
  }

  page_entry* map_;
  occupancy key_;
  std::uint32_t used_pages_ = 0;  // of slabs and medium allocations
  std::uint32_t dirty_pages_ = 0;
  std::uint32_t unused_slab_pages_ = 0;
  bitmap<Geometry::pages> dirty_;  // free pages, and unused ones of slabs, that hold what was freed, or were populated
  bitmap<Geometry::pages> old_;    // of them, those that have been so for a while
  [[no_unique_address]] typename Fit::state fit_state_{};
  free_spans<Geometry> spans_;
  std::array<bin, size_classes> bins_;
};

}  // namespace miniheap::detail

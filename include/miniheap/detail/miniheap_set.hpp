// SPDX-License-Identifier: BSL-1.0
/// \file
/// The miniheaps of an arena, ordered by the selection policy: one tree of bins for each size class, one tree of
/// miniheaps for each length class of their longest free span. "The first that can serve this" is the leftmost node of
/// one tree, or of a few; never a scan.
#pragma once

#include <miniheap/detail/reserve_order.hpp>
#include <miniheap/detail/span_order.hpp>

#include <boost/intrusive/list.hpp>

namespace miniheap::detail {

template <class Geometry, fit_policy Fit, selection_policy Selection, class Lock = no_lock::null_mutex>
class miniheap_set {
 public:
  using descriptor = miniheap_descriptor<Geometry, Fit, Lock>;
  using bin = typename descriptor::bin;

  /// The order of selection, made total by the address.
  static bool before(const descriptor& a, const descriptor& b) noexcept {
    if (Selection::before(a.key(), b.key())) return true;
    return !Selection::before(b.key(), a.key()) && a.key().address < b.key().address;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t empty_count() const noexcept { return empty_count_; }
  /// Of them, those that the page source would not take.
  [[nodiscard]] std::size_t waiting_count() const noexcept { return waiting_count_; }
  /// Of all miniheaps.
  [[nodiscard]] std::size_t used_pages() const noexcept { return used_pages_; }
  /// Of them, those of slabs that have a free slot and are not active.
  [[nodiscard]] std::size_t binned_pages() const noexcept { return binned_pages_; }
  /// And unused ones of slabs that are counted.
  [[nodiscard]] std::size_t unused_slab_pages() const noexcept { return unused_slab_pages_; }
  /// Free pages, and unused ones of slabs, that were touched, in miniheaps that are not empty.
  [[nodiscard]] std::size_t dirty_pages() const noexcept { return dirty_pages_; }

  /// Adds an empty miniheap. O(log n).
  void insert(descriptor& m) noexcept {
    all_.push_back(m);
    ++size_;
    ++empty_count_;
    spans_.link(m);
    reserve_.update(m);
  }

  /// Removes an empty miniheap. O(log n).
  void erase(descriptor& m) noexcept {
    spans_.unlink(m, m.spans().longest_class());
    reserve_.erase(m);
    all_.erase(all_.iterator_to(m));
    if (m.is_waiting) --waiting_count_;
    --size_;
    --empty_count_;
  }

  /// Empties the set in no time; the descriptors are the caller's. O(1).
  void clear() noexcept {
    all_.clear();
    for (auto& tree : bins_) tree.clear();
    spans_.clear();
    reserve_.clear();
    size_ = empty_count_ = waiting_count_ = 0;
    used_pages_ = unused_slab_pages_ = dirty_pages_ = binned_pages_ = 0;
  }

  /// The first miniheap with a free slot of the size class in a slab that is not active, or nullptr. O(1).
  [[nodiscard]] descriptor* first_with_slot(std::uint32_t size_class) const noexcept {
    const auto& tree = bins_[size_class];
    return tree.empty() ? nullptr : tree.begin()->owner;
  }

  /// Of the first `most` miniheaps with such a slot, in the order of selection, the first that `visit(descriptor&)`
  /// wants; nullptr: none. O(`most`).
  template <class Visit>
  descriptor* find_with_slot(std::uint32_t size_class, std::uint32_t most, Visit visit) const {
    for (const bin& b : bins_[size_class]) {
      if (most-- == 0) break;
      if (visit(*b.owner)) return b.owner;
    }
    return nullptr;
  }

  /// The first miniheap with a free span of `pages` pages, or nullptr. O(length classes), whatever the number of
  /// miniheaps. `except` is passed over.
  [[nodiscard]] descriptor* first_with_span(std::uint32_t pages, const descriptor* except = nullptr) const noexcept {
    descriptor* const first = spans_.first(pages, except);
    return first != nullptr || except != nullptr ? first : spans_.search(pages, 4);
  }

  /// The same, however long it takes to find out. O(n spans).
  [[nodiscard]] descriptor* any_with_span(std::uint32_t pages) const noexcept {
    descriptor* const first = first_with_span(pages);
    return first != nullptr ? first : spans_.search(pages, size_);
  }

  /// Calls `visit(descriptor&)` for each miniheap that has something to give back, the sparsest first, until it returns
  /// false. `visit` may erase or clean the one that it is given.
  template <class Visit>
  void for_each_in_reserve(Visit visit) {
    reserve_.for_each(visit);
  }

  /// \name Changes of one miniheap, each with the trees kept in order. O(log n).
  ///@{
  page_entry* take_span(descriptor& m, std::uint32_t pages, std::uint32_t align_pages = 1) noexcept {
    const span_change change{*this, m};
    return m.take_span(pages, align_pages);
  }

  bool extend_span(descriptor& m, page_entry* first, std::uint32_t pages) noexcept {
    const span_change change{*this, m};
    return m.extend_span(first, pages);
  }

  void give_span(descriptor& m, page_entry* first, std::uint32_t pages = 0) noexcept {
    const span_change change{*this, m};
    m.give_span(first, pages);
  }

  /// Frees a slab all pages of which are unused.
  void give_unused_slab(descriptor& m, page_entry* first) noexcept {
    unused_slab_pages_ -= first->pages;
    const span_change change{*this, m};
    m.give_unused_slab(first);
  }

  /// Pages of a slab that is counted have become unused. How many.
  std::uint32_t give_slab_pages(descriptor& m, page_entry& slab, slab_page_set pages) noexcept {
    const std::uint32_t count = m.give_slab_pages(slab, pages);
    dirty_pages_ += count;
    unused_slab_pages_ += count;
    if (!m.is_in_reserve) reserve_.update(m);
    return count;
  }

  /// The unused pages of a slab are about to be used.
  auto take_slab_pages(descriptor& m, page_entry& slab) noexcept {
    const auto taken = m.take_slab_pages(slab);
    dirty_pages_ -= taken.pages - taken.clean_pages;
    unused_slab_pages_ -= taken.pages;
    if (m.dirty_pages() == 0) reserve_.update(m);
    return taken;
  }

  /// Anything else that changes what is free or dirty of a miniheap.
  template <class Change>
  auto change(descriptor& m, Change change) noexcept {
    const span_change guard{*this, m};
    return change(m);
  }

  /// The page source would not take an empty miniheap: it is no part of the reserve until it was used again.
  void let_wait(descriptor& m) noexcept {
    if (!m.is_waiting) ++waiting_count_;
    m.is_waiting = true;
    reserve_.update(m);
  }

  /// Puts a slab that has a free slot into its bin, where it is the first to be used, as it is likely the fullest: at
  /// the front, or for odd lanes at the back. O(1), or O(log n) when the bin was empty.
  void add_to_bin(descriptor& m, page_entry& slab) noexcept {
    const std::uint32_t c = class_of_slab(slab.kind);
    binned_pages_ += slab.pages;
    bin& b = m.bin_of(c);
    if (b.slabs.empty()) bins_[c].insert_equal(b);
    slab.lane % 2 == 0 ? b.slabs.push_front(slab) : b.slabs.push_back(slab);
  }

  /// The slab comes into its bin or leaves it, which stays in its tree: several threads may do so, each with the
  /// miniheap's lock.
  ///@{
  void add_quietly(descriptor& m, page_entry& slab) noexcept {
    m.bin_of(class_of_slab(slab.kind)).slabs.push_front(slab);
    __atomic_fetch_add(&binned_pages_, slab.pages, __ATOMIC_RELAXED);
  }
  void remove_quietly(descriptor& m, page_entry& slab) noexcept {
    page_entry_list& slabs = m.bin_of(class_of_slab(slab.kind)).slabs;
    slabs.erase(slabs.iterator_to(slab));
    __atomic_fetch_sub(&binned_pages_, slab.pages, __ATOMIC_RELAXED);
  }
  ///@}

  void remove_from_bin(descriptor& m, page_entry& slab) noexcept {
    const std::uint32_t c = class_of_slab(slab.kind);
    binned_pages_ -= slab.pages;
    bin& b = m.bin_of(c);
    b.slabs.erase(b.slabs.iterator_to(slab));
    if (b.slabs.empty()) bins_[c].erase(bins_[c].iterator_to(b));
  }
  ///@}

  /// Calls `visit(descriptor&)` for each miniheap, oldest first; `visit` may erase the one that it is given.
  template <class Visit>
  void for_each(Visit visit) {
    for (auto it = all_.begin(); it != all_.end();) {
      descriptor& m = *it;
      ++it;
      visit(m);
    }
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const descriptor& m : all_) visit(m);
  }

  /// The invariants of each miniheap and of the trees. O(pages + n log n).
  [[nodiscard]] check_result check() const noexcept;

 private:
  struct bin_order {
    bool operator()(const bin& a, const bin& b) const noexcept { return before(*a.owner, *b.owner); }
  };
  struct descriptor_order {
    bool operator()(const descriptor& a, const descriptor& b) const noexcept { return before(a, b); }
  };

  /// While it lives the miniheap is in no tree, and only then does its key change.
  class rekey_guard {
   public:
    rekey_guard(miniheap_set& set, descriptor& m, std::uint32_t linked_class) noexcept : set_{set}, m_{m} {
      set_.spans_.unlink(m_, linked_class);
      set_.reserve_.erase(m_);
      for (std::uint32_t c = 0; c < size_classes; ++c) {
        bin& b = m_.bin_of(c);
        if (!b.slabs.empty()) set_.bins_[c].erase(set_.bins_[c].iterator_to(b));
      }
    }

    ~rekey_guard() {
      set_.spans_.link(m_);
      set_.reserve_.update(m_);
      for (std::uint32_t c = 0; c < size_classes; ++c) {
        bin& b = m_.bin_of(c);
        if (!b.slabs.empty()) set_.bins_[c].insert_equal(b);
      }
    }

    rekey_guard(const rekey_guard&) = delete;
    rekey_guard& operator=(const rekey_guard&) = delete;

   private:
    miniheap_set& set_;
    descriptor& m_;
  };

  /// While it lives the spans of a miniheap change; then the trees follow.
  class span_change {
   public:
    span_change(miniheap_set& set, descriptor& m) noexcept
        : set_{set}, m_{m}, linked_class_{m.spans().longest_class()}, was_empty_{m.is_empty()} {
      set_.used_pages_ -= m_.used_pages();
      if (!was_empty_) set_.dirty_pages_ -= m_.dirty_pages();
    }

    ~span_change() {
      set_.used_pages_ += m_.used_pages();
      if (!m_.is_empty()) set_.dirty_pages_ += m_.dirty_pages();
      if (m_.is_waiting && !m_.is_empty()) {
        m_.is_waiting = false;
        --set_.waiting_count_;
      }
      if (m_.is_empty() != was_empty_) set_.empty_count_ = was_empty_ ? set_.empty_count_ - 1 : set_.empty_count_ + 1;
      if (const unsigned level = m_.wanted_level(); level != m_.key().level) {
        const rekey_guard guard{set_, m_, linked_class_};
        m_.set_level(level);
        return;
      }
      if (m_.spans().longest_class() != linked_class_) {
        set_.spans_.unlink(m_, linked_class_);
        set_.spans_.link(m_);
      }
      set_.reserve_.update(m_);
    }

    span_change(const span_change&) = delete;
    span_change& operator=(const span_change&) = delete;

   private:
    miniheap_set& set_;
    descriptor& m_;
    std::uint32_t linked_class_;
    bool was_empty_;
  };

  boost::intrusive::list<descriptor, boost::intrusive::base_hook<all_hook>, boost::intrusive::constant_time_size<false>>
      all_;
  std::array<ordered<bin, bin_order>, size_classes> bins_;
  span_order<descriptor, descriptor_order, free_spans<Geometry>::classes> spans_;
  reserve_order<descriptor, descriptor_order> reserve_;
  std::size_t size_ = 0;
  std::size_t used_pages_ = 0;
  std::size_t unused_slab_pages_ = 0;
  std::size_t dirty_pages_ = 0;
  std::size_t binned_pages_ = 0;  // of slabs in bins
  std::size_t empty_count_ = 0;   // miniheaps without a used page
  std::size_t waiting_count_ = 0;
};

template <class Geometry, fit_policy Fit, selection_policy Selection, class Lock>
check_result miniheap_set<Geometry, Fit, Selection, Lock>::check() const noexcept {
  std::size_t counted = 0;
  std::size_t empty = 0;
  std::size_t waiting = 0;
  std::size_t with_span = 0;
  std::size_t used_pages = 0;
  std::size_t unused_slab_pages = 0;
  std::size_t dirty_pages = 0;
  std::size_t binned_pages = 0;
  std::size_t in_reserve = 0;
  std::array<std::size_t, size_classes> with_slot{};
  for (const descriptor& m : all_) {
    if (const char* broken = m.check()) return {broken, m.map()};
    ++counted;
    empty += static_cast<std::size_t>(m.is_empty());
    waiting += static_cast<std::size_t>(m.is_waiting && m.is_empty());
    used_pages += m.used_pages();
    unused_slab_pages += m.unused_slab_pages();
    if (!m.is_empty()) dirty_pages += m.dirty_pages();
    in_reserve += static_cast<std::size_t>(reserve_.belongs(m));
    with_span += static_cast<std::size_t>(m.spans().longest_class() != free_spans<Geometry>::classes);
    for (std::uint32_t c = 0; c < size_classes; ++c) {
      with_slot[c] += static_cast<std::size_t>(!m.bin_of(c).slabs.empty());
      for (const page_entry& slab : m.bin_of(c).slabs) binned_pages += slab.pages;
    }
  }
  if (counted != size_ || empty != empty_count_ || waiting != waiting_count_)
    return {"the miniheaps are counted", this};
  if (used_pages != used_pages_ || unused_slab_pages != unused_slab_pages_)
    return {"used pages, and unused ones of slabs, are counted", this};
  if (dirty_pages != dirty_pages_ || binned_pages != binned_pages_)
    return {"dirty pages, and those of slabs in bins, are counted", this};
  if (const check_result result = spans_.check(with_span); !result) return result;
  if (const char* broken = reserve_.check(in_reserve)) return {broken, this};
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    const bin* last = nullptr;
    for (const bin& b : bins_[c]) {
      if (last != nullptr && !bin_order{}(*last, b))
        return {"the bins of a size class are in the order of selection", this};
      last = &b;
      --with_slot[c];
    }
    if (with_slot[c] != 0) return {"each bin that is not empty is in a tree", this};
  }
  return {};
}

}  // namespace miniheap::detail

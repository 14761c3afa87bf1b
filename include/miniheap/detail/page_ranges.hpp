// SPDX-License-Identifier: BSL-1.0
/// \file
/// Ranges of whole pages, described out of band: some are live, the others **idle**, one with their idle neighbours.
#pragma once

#include <miniheap/detail/page_supply.hpp>
#include <miniheap/stats.hpp>

#include <boost/intrusive/rbtree.hpp>
#include <boost/intrusive/set_hook.hpp>

#include <iterator>
#include <utility>

namespace miniheap::detail {

template <class Tag>
using range_hook = boost::intrusive::set_base_hook<boost::intrusive::tag<Tag>,
                                                   boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                   boost::intrusive::optimize_size<true>>;
struct address_tag;
struct length_tag;

struct page_range : range_hook<address_tag>, range_hook<length_tag> {
  page_range(std::uintptr_t a, std::size_t b) noexcept : address{a}, bytes{b} {}

  [[nodiscard]] bool is_idle() const noexcept { return alignment == 0; }
  [[nodiscard]] std::uintptr_t end() const noexcept { return address + bytes; }
  [[nodiscard]] void* memory() const noexcept { return reinterpret_cast<void*>(address); }

  std::uintptr_t address;
  std::size_t bytes;
  std::size_t alignment = 0;  // of the allocation; 0: idle
  bool is_clean = false;      // idle, and purged
};

/// All ranges in the order of their addresses, the idle ones also in the order of their lengths. Each takes O(log n).
class page_ranges {
 public:
  using range = page_range;

  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
  [[nodiscard]] auto begin() const noexcept { return all_.begin(); }
  [[nodiscard]] auto end() const noexcept { return all_.end(); }
  [[nodiscard]] std::size_t idle_bytes() const noexcept { return idle_bytes_; }
  /// Of idle ranges that are not purged.
  [[nodiscard]] std::size_t dirty_bytes() const noexcept { return idle_bytes_ - clean_bytes_; }
  /// The least that they were when it was noted since the last call.
  [[nodiscard]] std::size_t take_least_dirty_bytes() noexcept {
    return std::exchange(least_dirty_bytes_, dirty_bytes());
  }
  /// An operation is over.
  void note_least_dirty() noexcept { least_dirty_bytes_ = smaller(least_dirty_bytes_, dirty_bytes()); }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept { return records_.mapped_bytes(); }

  /// The last range that starts at or below `address`; nullptr: there is none.
  [[nodiscard]] const range* last_at_or_below(std::uintptr_t address) const noexcept {
    const auto it = all_.upper_bound(address, address_order{});
    return it == all_.begin() ? nullptr : &*std::prev(it);
  }
  [[nodiscard]] range* last_at_or_below(std::uintptr_t address) noexcept {
    return const_cast<range*>(std::as_const(*this).last_at_or_below(address));
  }
  [[nodiscard]] range* next(range& r) noexcept {
    const auto it = std::next(all_.iterator_to(r));
    return it == all_.end() ? nullptr : &*it;
  }
  [[nodiscard]] range* first() noexcept { return all_.empty() ? nullptr : &*all_.begin(); }

  /// The one at the lowest address of the eight shortest idle ranges that have `least_bytes`, but for those that are
  /// more than twice as long as the shortest, among those of them that have as many behind a multiple of `alignment`.
  /// So the same pages are used again and again, which the processor still knows, while others grow old. nullptr: there
  /// is none.
  [[nodiscard]] range* lowest_idle(std::size_t least_bytes, std::size_t alignment) noexcept {
    range* lowest = nullptr;
    auto it = idle_.lower_bound(least_bytes, length_order{});
    const std::size_t most_bytes = it == idle_.end() ? 0 : 2 * it->bytes;
    for (int left = looked_at; left != 0 && it != idle_.end() && it->bytes <= most_bytes; --left, ++it) {
      const bool fits = it->bytes - least_bytes >= align_up(it->address, alignment) - it->address;
      if (fits && (lowest == nullptr || it->address < lowest->address)) lowest = &*it;
    }
    return lowest;
  }
  [[nodiscard]] range* shortest_idle() noexcept { return idle_.empty() ? nullptr : &*idle_.begin(); }
  [[nodiscard]] range* longest_idle() noexcept { return idle_.empty() ? nullptr : &*idle_.rbegin(); }
  /// nullptr: it is the longest.
  [[nodiscard]] range* next_longer_idle(range& r) noexcept {
    const auto it = std::next(idle_.iterator_to(r));
    return it == idle_.end() ? nullptr : &*it;
  }

  /// Memory for so many more ranges, one or two. False: there is none.
  template <class Supply>
  bool reserve(Supply& supply, int count) noexcept {
    void* const room = records_.take(supply);
    if (room == nullptr) return false;
    const bool is_there = count == 1 || reserve(supply, count - 1);
    records_.give(room);
    return is_there;
  }

  /// A new range, live once it is given an alignment. nullptr: no memory for its record.
  template <class Supply>
  range* add(Supply& supply, std::uintptr_t address, std::size_t bytes) noexcept {
    void* const room = records_.take(supply);
    if (room == nullptr) return nullptr;
    range& added = *::new (room) range{address, bytes};
    all_.insert_equal(added);
    return &added;
  }

  /// A range that is not idle is no more.
  void erase(range& gone) noexcept {
    all_.erase(all_.iterator_to(gone));
    records_.give(&gone);
  }

  /// A range that is not idle lies somewhere else.
  void move(range& moved, std::uintptr_t address, std::size_t bytes) noexcept {
    all_.erase(all_.iterator_to(moved));
    moved.address = address;
    moved.bytes = bytes;
    all_.insert_equal(moved);
  }

  /// Makes a range idle, which may be purged already; what it is part of then.
  range& make_idle(range& r, bool is_clean = false) noexcept {
    r.alignment = 0;
    r.is_clean = is_clean;
    put_in(r);
    range* low = &r;
    const auto it = all_.iterator_to(r);
    if (it != all_.begin() && can_join(*std::prev(it), r)) {
      low = &*std::prev(it);
      append(*low, r);
    }
    range* const high = next(*low);
    if (high != nullptr && can_join(*low, *high)) append(*low, *high);
    return *low;
  }

  /// An idle range, for the caller to use or change.
  void take_idle(range& r) noexcept {
    idle_.erase(idle_.iterator_to(r));
    idle_bytes_ -= r.bytes;
    if (std::exchange(r.is_clean, false)) clean_bytes_ -= r.bytes;
  }

  /// The memory of an idle range was purged.
  void make_clean(range& r) noexcept {
    r.is_clean = true;
    clean_bytes_ += r.bytes;
  }

  /// Cuts an idle range in two, if it is longer than `bytes`. False: no memory for the record of the second.
  template <class Supply>
  bool cut(Supply& supply, range& r, std::size_t bytes) noexcept {
    if (bytes == r.bytes) return true;
    range* const rest = add(supply, r.address + bytes, r.bytes - bytes);
    if (rest == nullptr) return false;
    const bool is_clean = r.is_clean;
    take_idle(r);
    r.bytes = bytes;
    r.is_clean = rest->is_clean = is_clean;
    put_in(r);
    put_in(*rest);
    return true;
  }

  /// The metadata goes back, if nothing is described.
  template <class Supply>
  void release(Supply& supply) noexcept {
    if (empty()) records_.release(supply);
  }

  [[nodiscard]] check_result check() const noexcept {
    std::size_t idle_bytes = 0;
    std::size_t clean_bytes = 0;
    std::size_t idle_count = 0;
    const range* before = nullptr;
    for (const range& r : all_) {
      if (r.bytes == 0 || ((r.bytes | r.address) & (page_bytes - 1)) != 0) return {"a range has pages", r.memory()};
      if (before != nullptr && before->end() > r.address) return {"ranges do not overlap", r.memory()};
      if (before != nullptr && can_join(*before, r)) return {"idle neighbours are one", r.memory()};
      if (r.is_clean && !r.is_idle()) return {"what is purged is idle", r.memory()};
      before = &r;
      if (!r.is_idle()) continue;
      ++idle_count;
      idle_bytes += r.bytes;
      if (r.is_clean) clean_bytes += r.bytes;
    }
    std::size_t least_bytes = 0;
    for (const range& r : idle_) {
      if (!r.is_idle()) return {"what is ordered by length is idle", r.memory()};
      if (r.bytes < least_bytes) return {"idle ranges are in the order of their lengths", r.memory()};
      least_bytes = r.bytes;
      --idle_count;
    }
    if (idle_count != 0) return {"each idle range is in the order of lengths", this};
    const bool is_right = idle_bytes == idle_bytes_ && clean_bytes == clean_bytes_;
    return is_right ? check_result{} : check_result{"idle ranges are counted", this};
  }

 private:
  static constexpr int looked_at = 8;

  struct address_order {
    bool operator()(const range& a, const range& b) const noexcept { return a.address < b.address; }
    bool operator()(std::uintptr_t a, const range& b) const noexcept { return a < b.address; }
  };
  struct length_order {
    bool operator()(const range& a, const range& b) const noexcept { return a.bytes < b.bytes; }
    bool operator()(const range& a, std::size_t b) const noexcept { return a.bytes < b; }
  };
  template <class Tag, class Order>
  using ordered =
      boost::intrusive::rbtree<range, boost::intrusive::base_hook<range_hook<Tag>>, boost::intrusive::compare<Order>,
                               boost::intrusive::constant_time_size<false>>;

  /// A purged range waits by itself: its pages would be taken for dirty ones.
  static bool can_join(const range& low, const range& high) noexcept {
    return low.is_idle() && high.is_idle() && !low.is_clean && !high.is_clean && low.end() == high.address;
  }

  void append(range& low, range& high) noexcept {
    take_idle(low);
    take_idle(high);
    low.bytes += high.bytes;
    erase(high);
    put_in(low);
  }

  void put_in(range& r) noexcept {
    idle_.insert_equal(r);
    idle_bytes_ += r.bytes;
    if (r.is_clean) clean_bytes_ += r.bytes;
  }

  ordered<address_tag, address_order> all_;
  ordered<length_tag, length_order> idle_;
  std::size_t idle_bytes_ = 0;
  std::size_t clean_bytes_ = 0;  // of those
  std::size_t least_dirty_bytes_ = 0;
  record_pool<range> records_;
};

}  // namespace miniheap::detail

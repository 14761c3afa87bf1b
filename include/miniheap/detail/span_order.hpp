// SPDX-License-Identifier: BSL-1.0
/// \file
/// The miniheaps that have a free span: one tree for each length class of the longest, in the order of selection.
#pragma once

#include <miniheap/detail/miniheap_descriptor.hpp>
#include <miniheap/stats.hpp>

#include <boost/intrusive/rbtree.hpp>

namespace miniheap::detail {

/// A tree of the nodes by which a miniheap, or a bin of it, is found.
template <class Node, class Order>
using ordered = boost::intrusive::rbtree<Node, boost::intrusive::base_hook<tree_hook>, boost::intrusive::compare<Order>,
                                         boost::intrusive::constant_time_size<false>>;

/// A miniheap's key and its spans change only while it is not linked. `Before` is the order of selection.
template <class Descriptor, class Before, std::uint32_t Classes>
class span_order {
 public:
  /// Links a miniheap, if it has a free span. O(log n).
  void link(Descriptor& m) noexcept {
    const std::uint32_t k = m.spans().longest_class();
    if (k == Classes) return;
    trees_[k].insert_equal(m);
    mask_ |= std::uint64_t{1} << k;
  }

  /// Unlinks a miniheap that was linked when its longest span was of length class `k`. O(log n).
  void unlink(Descriptor& m, std::uint32_t k) noexcept {
    if (k == Classes) return;
    trees_[k].erase(trees_[k].iterator_to(m));
    if (trees_[k].empty()) mask_ &= ~(std::uint64_t{1} << k);
  }

  void clear() noexcept {
    for (auto& tree : trees_) tree.clear();
    mask_ = 0;
  }

  /// The first miniheap whose longest span is of a length class all spans of which have `pages` pages, or nullptr;
  /// `except` is passed over. O(length classes).
  [[nodiscard]] Descriptor* first(std::uint32_t pages, const Descriptor* except) const noexcept {
    Descriptor* found = nullptr;
    const std::uint32_t sure = length_class_at_least(pages);
    for (std::uint64_t mask = sure < 64 ? mask_ & (~std::uint64_t{0} << sure) : 0; mask != 0; mask &= mask - 1) {
      auto& tree = trees_[static_cast<std::uint32_t>(std::countr_zero(mask))];
      auto it = tree.begin();
      if (&*it == except && ++it == tree.end()) continue;
      auto& m = const_cast<Descriptor&>(*it);
      if (found == nullptr || Before{}(m, *found)) found = &m;
    }
    return found;
  }

  /// Of the miniheaps whose longest span is of the same length class as `pages`, only some have a span that fits: looks
  /// at the first `tries`.
  [[nodiscard]] Descriptor* search(std::uint32_t pages, std::size_t tries) const noexcept {
    const std::uint32_t k = length_class(pages);
    if (k >= Classes || shortest_of_class(k) == pages) return nullptr;
    for (const Descriptor& m : trees_[k]) {
      if (tries-- == 0) break;
      if (m.spans().longest_pages() >= pages) return const_cast<Descriptor*>(&m);
    }
    return nullptr;
  }

  /// `count` miniheaps have a free span. O(n).
  [[nodiscard]] check_result check(std::size_t count) const noexcept {
    for (std::uint32_t k = 0; k < Classes; ++k) {
      if (trees_[k].empty() != ((mask_ >> k & 1u) == 0)) return {"the mask tells which trees have a miniheap", this};
      const Descriptor* last = nullptr;
      for (const Descriptor& m : trees_[k]) {
        if (m.spans().longest_class() != k) return {"a miniheap is in the tree of its longest free span", m.map()};
        if (last != nullptr && !Before{}(*last, m))
          return {"the miniheaps of a length class are in the order of selection", this};
        last = &m;
        --count;
      }
    }
    return count == 0 ? check_result{} : check_result{"each miniheap that has a free span is in a tree", this};
  }

 private:
  std::array<ordered<Descriptor, Before>, Classes> trees_;
  std::uint64_t mask_ = 0;  // bit k: tree k is not empty
};

}  // namespace miniheap::detail

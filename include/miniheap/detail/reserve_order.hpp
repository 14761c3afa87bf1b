// SPDX-License-Identifier: BSL-1.0
/// \file
/// The miniheaps that have something to give back, in the order in which they do.
#pragma once

#include <miniheap/detail/miniheap_descriptor.hpp>

#include <boost/intrusive/rbtree.hpp>

namespace miniheap::detail {

/// Every miniheap that is empty or has dirty pages is in it, unless it waits: empty ones first, then in the reverse of
/// the order of selection, `Before`. A miniheap's key changes only while it is not in it.
template <class Descriptor, class Before>
class reserve_order {
 public:
  static bool belongs(const Descriptor& m) noexcept { return !m.is_waiting && (m.is_empty() || m.dirty_pages() != 0); }

  /// Puts a miniheap in if it belongs there, and takes it out if not. O(log n).
  void update(Descriptor& m) noexcept {
    if (belongs(m) == m.is_in_reserve) return;
    m.is_in_reserve ? erase(m) : insert(m);
  }

  void erase(Descriptor& m) noexcept {
    if (m.is_in_reserve) tree_.erase(tree_.iterator_to(m));
    m.is_in_reserve = false;
  }

  void clear() noexcept { tree_.clear(); }

  /// Calls `visit(Descriptor&)` for each until it returns false. `visit` may erase or clean the one that it is given.
  template <class Visit>
  void for_each(Visit visit) {
    for (auto it = tree_.begin(); it != tree_.end();) {
      Descriptor& m = *it;
      ++it;
      if (!visit(m)) return;
    }
  }

  /// `count` miniheaps belong here. O(n).
  [[nodiscard]] const char* check(std::size_t count) const noexcept {
    const Descriptor* last = nullptr;
    for (const Descriptor& m : tree_) {
      if (!m.is_in_reserve || !belongs(m)) return "what is in the reserve has something to give back, and knows it";
      if (last != nullptr && !order{}(*last, m)) return "the sparsest miniheap is the first to give back";
      last = &m;
      --count;
    }
    return count == 0 ? nullptr : "each miniheap that has something to give back is in the reserve";
  }

 private:
  struct order {
    bool operator()(const Descriptor& a, const Descriptor& b) const noexcept {
      return a.is_empty() != b.is_empty() ? a.is_empty() : Before{}(b, a);
    }
  };

  void insert(Descriptor& m) noexcept {
    tree_.insert_equal(m);
    m.is_in_reserve = true;
  }

  boost::intrusive::rbtree<Descriptor, boost::intrusive::base_hook<reserve_hook>, boost::intrusive::compare<order>,
                           boost::intrusive::constant_time_size<false>>
      tree_;
};

}  // namespace miniheap::detail

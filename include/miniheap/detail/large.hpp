// SPDX-License-Identifier: BSL-1.0
/// \file
/// Large allocations: each has a mapping of its own that starts at a multiple of the size of a miniheap, where no small
/// or medium allocation ever starts. Their descriptors are out of band, in a tree ordered by address.
#pragma once

#include <miniheap/detail/miniheap_descriptor.hpp>
#include <miniheap/detail/page_supply.hpp>
#include <miniheap/stats.hpp>

#include <boost/intrusive/rbtree.hpp>

namespace miniheap::detail {

template <std::size_t MiniheapBytes>
class large_mappings {
 public:
  /// Maps `bytes`, rounded up to pages. nullptr: nothing has changed. O(log n) and the page source's time.
  template <class Supply>
  void* allocate(Supply& supply, std::size_t bytes, std::size_t alignment) noexcept {
    retry_unmap(supply);
    void* const room = records_.take(supply);
    if (room == nullptr) return nullptr;
    if (alignment < MiniheapBytes) alignment = MiniheapBytes;
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    void* const p = supply.map(whole_bytes, alignment);
    if (p == nullptr) {
      records_.give(room);
      return nullptr;
    }
    live_.insert_equal(*::new (room) mapping{address_of(p), whole_bytes, alignment});
    live_bytes_ += whole_bytes;
    ++count_;
    return p;
  }

  /// Usable bytes of the large allocation that starts at `address`, or 0. O(log n).
  [[nodiscard]] std::size_t bytes_at(std::uintptr_t address) const noexcept {
    const auto it = live_.find(address, address_order{});
    return it == live_.end() ? 0 : it->bytes;
  }

  /// Whether the address lies in a large allocation. O(log n).
  [[nodiscard]] bool contains(std::uintptr_t address) const noexcept {
    auto it = live_.upper_bound(address, address_order{});
    if (it == live_.begin()) return false;
    --it;
    return address - it->address < it->bytes;
  }

  /// Unmaps the large allocation that starts at `address`. O(log n) and the page source's time.
  template <class Supply>
  void deallocate(Supply& supply, std::uintptr_t address) noexcept {
    retry_unmap(supply);
    const auto it = live_.find(address, address_order{});
    mapping& gone = *it;
    live_.erase(it);
    live_bytes_ -= gone.bytes;
    --count_;
    dispose(supply, gone);
  }

  /// Grows or shrinks by remapping; where the mapping is now, or nullptr and nothing has changed. Never copies.
  template <class Supply>
  void* resize(Supply& supply, std::uintptr_t address, std::size_t bytes, std::size_t alignment) noexcept {
    const auto it = live_.find(address, address_order{});
    mapping& changed = *it;
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    void* const p = reinterpret_cast<void*>(address);
    if (whole_bytes == changed.bytes) return p;
    if (alignment < changed.alignment) alignment = changed.alignment;
    void* const q = supply.remap(p, changed.bytes, whole_bytes, alignment);
    if (q == nullptr) return nullptr;
    live_.erase(it);
    live_bytes_ = live_bytes_ - changed.bytes + whole_bytes;
    changed.address = address_of(q);
    changed.bytes = whole_bytes;
    changed.alignment = alignment;
    live_.insert_equal(changed);
    return q;
  }

  /// Tries again to unmap what the page source would not take back before.
  template <class Supply>
  void retry_unmap(Supply& supply) noexcept {
    while (!stuck_.empty()) {
      mapping& gone = *stuck_.begin();
      if (!supply.unmap(reinterpret_cast<void*>(gone.address), gone.bytes)) break;
      stuck_.erase(stuck_.begin());
      stuck_bytes_ -= gone.bytes;
      records_.give(&gone);
    }
  }

  /// Retries, and gives the metadata back when there is nothing to describe.
  template <class Supply>
  void trim(Supply& supply) noexcept {
    retry_unmap(supply);
    if (live_.empty() && stuck_.empty()) records_.release(supply);
  }

  /// Unmaps every large allocation; metadata too when nothing is left.
  template <class Supply>
  void release(Supply& supply) noexcept {
    while (!live_.empty()) {
      mapping& gone = *live_.begin();
      live_.erase(live_.begin());
      dispose(supply, gone);
    }
    live_bytes_ = count_ = 0;
    trim(supply);
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }
  /// Bytes that wait to be unmapped.
  [[nodiscard]] std::size_t stuck_bytes() const noexcept { return stuck_bytes_; }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept { return records_.mapped_bytes(); }

  /// Calls `visit(const mapping_info&)` for each, in address order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const mapping& m : live_) visit(mapping_info{reinterpret_cast<const void*>(m.address), m.bytes});
  }

  [[nodiscard]] check_result check() const noexcept {
    std::uintptr_t end = 0;
    std::size_t bytes = 0;
    std::size_t counted = 0;
    for (const mapping& m : live_) {
      const auto* const where = reinterpret_cast<const void*>(m.address);
      if (m.address < end) return {"large mappings are in the order of their addresses and do not overlap", where};
      if (m.address % MiniheapBytes != 0) return {"a large mapping starts where a miniheap could start", where};
      end = m.address + m.bytes;
      bytes += m.bytes;
      ++counted;
    }
    return bytes == live_bytes_ && counted == count_ ? check_result{}
                                                     : check_result{"large mappings are counted", this};
  }

 private:
  struct mapping : tree_hook {
    mapping(std::uintptr_t a, std::size_t b, std::size_t l) noexcept : address{a}, bytes{b}, alignment{l} {}

    std::uintptr_t address;
    std::size_t bytes;
    std::size_t alignment;
  };

  struct address_order {
    bool operator()(const mapping& a, const mapping& b) const noexcept { return a.address < b.address; }
    bool operator()(std::uintptr_t a, const mapping& b) const noexcept { return a < b.address; }
    bool operator()(const mapping& a, std::uintptr_t b) const noexcept { return a.address < b; }
  };
  using tree =
      boost::intrusive::rbtree<mapping, boost::intrusive::base_hook<tree_hook>,
                               boost::intrusive::compare<address_order>, boost::intrusive::constant_time_size<false>>;

  template <class Supply>
  void dispose(Supply& supply, mapping& gone) noexcept {
    void* const p = reinterpret_cast<void*>(gone.address);
    if (supply.unmap(p, gone.bytes)) {
      records_.give(&gone);
      return;
    }
    supply.purge(p, gone.bytes);  // at least the memory goes back
    stuck_.insert_equal(gone);
    stuck_bytes_ += gone.bytes;
  }

  tree live_;
  tree stuck_;
  std::size_t live_bytes_ = 0;
  std::size_t stuck_bytes_ = 0;
  std::size_t count_ = 0;
  record_pool<mapping> records_;
};

}  // namespace miniheap::detail

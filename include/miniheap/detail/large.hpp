// SPDX-License-Identifier: BSL-1.0
/// \file
/// Large allocations: each has a mapping of its own that starts at a multiple of the size of a miniheap, where no small
/// or medium allocation ever starts. Their descriptors are out of band, in a tree ordered by address.
///
/// A mapping that was freed is **idle**. As long as idle mappings take no more than a reserve they stay, and serve the
/// next allocation of about that length; beyond it, and where the page source will not take one back, they wait.
#pragma once

#include <miniheap/detail/miniheap_descriptor.hpp>
#include <miniheap/detail/page_supply.hpp>
#include <miniheap/stats.hpp>

#include <boost/intrusive/rbtree.hpp>

namespace miniheap::detail {

template <std::size_t MiniheapBytes, std::size_t ReserveBytes = 0>
class large_mappings {
 public:
  /// Room for `bytes`, rounded up to pages. nullptr: nothing has changed. O(log n) and the page source's time.
  template <class Supply>
  void* allocate(Supply& supply, std::size_t bytes, std::size_t alignment) noexcept {
    if (alignment < MiniheapBytes) alignment = MiniheapBytes;
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    mapping* taken = take_idle(whole_bytes, alignment);
    if (taken == nullptr) taken = grow_idle(supply, whole_bytes, alignment);
    is_last_fresh_ = taken == nullptr;
    if (taken == nullptr) {
      settle(supply);
      taken = map(supply, whole_bytes, alignment);
      if (taken == nullptr) return nullptr;
    }
    taken->bytes = whole_bytes;
    taken->alignment = alignment;
    live_.insert_equal(*taken);
    live_bytes_ += whole_bytes;
    spare_bytes_ += taken->mapped_bytes - whole_bytes;
    ++count_;
    return reinterpret_cast<void*>(taken->address);
  }

  /// Whether what `allocate` gave last is as the page source mapped it.
  [[nodiscard]] bool is_last_fresh() const noexcept { return is_last_fresh_; }

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

  /// Frees the large allocation that starts at `address`. O(log n) and the page source's time.
  template <class Supply>
  void deallocate(Supply& supply, std::uintptr_t address) noexcept {
    const auto it = live_.find(address, address_order{});
    mapping& gone = *it;
    live_.erase(it);
    live_bytes_ -= gone.bytes;
    spare_bytes_ -= gone.mapped_bytes - gone.bytes;
    --count_;
    idle_.insert_equal(gone);
    idle_bytes_ += gone.mapped_bytes;
    settle(supply);
  }

  /// Grows or shrinks by remapping; where the mapping is now, or nullptr and nothing has changed. Never copies.
  template <class Supply>
  void* resize(Supply& supply, std::uintptr_t address, std::size_t bytes, std::size_t alignment) noexcept {
    const auto it = live_.find(address, address_order{});
    mapping& changed = *it;
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    if (alignment < changed.alignment) alignment = changed.alignment;
    void* p = reinterpret_cast<void*>(address);
    if (whole_bytes < changed.bytes || whole_bytes > changed.mapped_bytes) {
      p = supply.remap(p, changed.mapped_bytes, whole_bytes, alignment);
      if (p == nullptr) return nullptr;
      spare_bytes_ -= changed.mapped_bytes - changed.bytes;
      changed.mapped_bytes = whole_bytes;
    } else {
      spare_bytes_ -= whole_bytes - changed.bytes;
    }
    live_bytes_ = live_bytes_ - changed.bytes + whole_bytes;
    live_.erase(it);
    changed.address = address_of(p);
    changed.bytes = whole_bytes;
    changed.alignment = alignment;
    live_.insert_equal(changed);
    return p;
  }

  /// Unmaps what is idle, drops the contents of what is left over behind allocations, and gives the metadata back when
  /// there is nothing to describe.
  template <class Supply>
  void trim(Supply& supply) noexcept {
    for (const mapping& m : live_) {
      if (m.mapped_bytes != m.bytes)
        supply.purge(reinterpret_cast<void*>(m.address + m.bytes), m.mapped_bytes - m.bytes);
    }
    for (auto it = idle_.begin(); it != idle_.end();) {
      mapping& gone = *it;
      ++it;
      unmap_idle(supply, gone);
    }
    if (live_.empty() && idle_.empty()) records_.release(supply);
  }

  /// Unmaps every large allocation; metadata too when nothing is left.
  template <class Supply>
  void release(Supply& supply) noexcept {
    for (mapping& gone : live_) idle_bytes_ += gone.mapped_bytes;
    live_.clear_and_dispose([this](mapping* gone) { idle_.insert_equal(*gone); });
    live_bytes_ = spare_bytes_ = count_ = 0;
    trim(supply);
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }
  /// Bytes that are mapped and not allocated: idle, or behind the end of an allocation.
  [[nodiscard]] std::size_t free_bytes() const noexcept { return idle_bytes_ + spare_bytes_; }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept { return records_.mapped_bytes(); }

  /// Calls `visit(const mapping_info&)` for each, in address order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const mapping& m : live_) visit(mapping_info{reinterpret_cast<const void*>(m.address), m.bytes});
  }

  [[nodiscard]] check_result check() const noexcept {
    std::uintptr_t end = 0;
    std::size_t bytes = 0;
    std::size_t spare_bytes = 0;
    std::size_t idle_bytes = 0;
    std::size_t counted = 0;
    for (const mapping& m : live_) {
      const auto* const where = reinterpret_cast<const void*>(m.address);
      if (m.address < end) return {"large mappings are in the order of their addresses and do not overlap", where};
      if (m.address % MiniheapBytes != 0) return {"a large mapping starts where a miniheap could start", where};
      if (m.bytes > m.mapped_bytes) return {"a large allocation ends with its mapping", where};
      end = m.address + m.mapped_bytes;
      bytes += m.bytes;
      spare_bytes += m.mapped_bytes - m.bytes;
      ++counted;
    }
    for (const mapping& m : idle_) idle_bytes += m.mapped_bytes;
    const bool is_right = bytes == live_bytes_ && spare_bytes == spare_bytes_ && idle_bytes == idle_bytes_;
    return is_right && counted == count_ ? check_result{} : check_result{"large mappings are counted", this};
  }

 private:
  struct mapping : tree_hook {
    mapping(std::uintptr_t a, std::size_t b) noexcept : address{a}, mapped_bytes{b} {}

    std::uintptr_t address;
    std::size_t mapped_bytes;
    std::size_t bytes = 0;  // of the allocation
    std::size_t alignment = 0;
    bool is_purged = false;
  };

  struct address_order {
    bool operator()(const mapping& a, const mapping& b) const noexcept { return a.address < b.address; }
    bool operator()(std::uintptr_t a, const mapping& b) const noexcept { return a < b.address; }
    bool operator()(const mapping& a, std::uintptr_t b) const noexcept { return a.address < b; }
  };
  struct length_order {
    bool operator()(const mapping& a, const mapping& b) const noexcept { return a.mapped_bytes < b.mapped_bytes; }
    bool operator()(const mapping& a, std::size_t b) const noexcept { return a.mapped_bytes < b; }
  };
  template <class Order>
  using ordered =
      boost::intrusive::rbtree<mapping, boost::intrusive::base_hook<tree_hook>, boost::intrusive::compare<Order>,
                               boost::intrusive::constant_time_size<false>>;

  template <class Supply>
  mapping* map(Supply& supply, std::size_t whole_bytes, std::size_t alignment) noexcept {
    void* const room = records_.take(supply);
    if (room == nullptr) return nullptr;
    void* const p = supply.map(whole_bytes, alignment);
    if (p != nullptr) return ::new (room) mapping{address_of(p), whole_bytes};
    records_.give(room);
    return nullptr;
  }

  /// The shortest idle mapping that is long enough, if it is not more than twice as long, and what is
  /// left over, of all together, fits the reserve. O(log n).
  mapping* take_idle(std::size_t whole_bytes, std::size_t alignment) noexcept {
    const auto it = idle_.lower_bound(whole_bytes, length_order{});
    if (it == idle_.end() || it->mapped_bytes - whole_bytes > whole_bytes) return nullptr;
    if (spare_bytes_ + it->mapped_bytes - whole_bytes > ReserveBytes) return nullptr;
    mapping& taken = *it;
    if ((taken.address & (alignment - 1)) != 0) return nullptr;
    take_out(taken);
    return &taken;
  }

  /// The longest idle mapping that is too short, made as long as needed: its pages need no page faults any more. O(log
  /// n) and the page source's time.
  template <class Supply>
  mapping* grow_idle(Supply& supply, std::size_t whole_bytes, std::size_t alignment) noexcept {
    auto it = idle_.lower_bound(whole_bytes, length_order{});
    if (it == idle_.begin()) return nullptr;
    mapping& taken = *--it;
    if ((taken.address & (alignment - 1)) != 0) return nullptr;
    void* const p = supply.remap(reinterpret_cast<void*>(taken.address), taken.mapped_bytes, whole_bytes, alignment);
    if (p == nullptr) return nullptr;
    take_out(taken);
    taken.address = address_of(p);
    taken.mapped_bytes = whole_bytes;
    return &taken;
  }

  void take_out(mapping& taken) noexcept {
    idle_.erase(idle_.iterator_to(taken));
    idle_bytes_ -= taken.mapped_bytes;
    taken.is_purged = false;
  }

  /// Unmaps idle mappings, the longest first, until the reserve has room for all. Those that the page source refuses
  /// are purged; one of them is tried again in each call.
  template <class Supply>
  void settle(Supply& supply) noexcept {
    bool is_refused = false;
    for (auto it = idle_.end(); idle_bytes_ > ReserveBytes && it != idle_.begin();) {
      mapping& gone = *--it;
      if (gone.is_purged && is_refused) continue;
      ++it;
      if (!unmap_idle(supply, gone)) {
        is_refused = true;
        --it;
      }
    }
  }

  /// False: the page source will not take it back, and it stays. It loses its contents, so that at least the memory
  /// goes back.
  template <class Supply>
  bool unmap_idle(Supply& supply, mapping& gone) noexcept {
    void* const p = reinterpret_cast<void*>(gone.address);
    if (!supply.unmap(p, gone.mapped_bytes)) {
      if (!gone.is_purged) gone.is_purged = supply.purge(p, gone.mapped_bytes);
      return false;
    }
    take_out(gone);
    records_.give(&gone);
    return true;
  }

  ordered<address_order> live_;
  ordered<length_order> idle_;
  std::size_t live_bytes_ = 0;
  std::size_t spare_bytes_ = 0;  // of live mappings, behind the end of the allocation
  std::size_t idle_bytes_ = 0;
  bool is_last_fresh_ = false;
  std::size_t count_ = 0;
  record_pool<mapping> records_;
};

}  // namespace miniheap::detail

// SPDX-License-Identifier: BSL-1.0
/// \file
/// Large allocations: each has a mapping of its own that starts at a multiple of the size of a miniheap, where no small
/// or medium allocation ever starts. Their descriptors are out of band, in a tree ordered by address.
///
/// A mapping that was freed is **idle**, and serves the next allocation of about that length. It is part of the arena's
/// reserve, as is what is left over behind an allocation. What the page source will not take back waits, purged.
#pragma once

#include <miniheap/detail/miniheap_descriptor.hpp>
#include <miniheap/detail/page_supply.hpp>
#include <miniheap/stats.hpp>

#include <boost/intrusive/rbtree.hpp>

#include <utility>

namespace miniheap::detail {

template <std::size_t MiniheapBytes>
class large_mappings {
 public:
  /// Room for `bytes`, rounded up to pages. What is left over behind allocations is no more than `most_spare_bytes` in
  /// all. nullptr: nothing has changed. O(log n) and the page source's time.
  template <class Supply>
  void* allocate(Supply& supply, std::size_t bytes, std::size_t alignment, std::size_t most_spare_bytes) noexcept {
    if (alignment < MiniheapBytes) alignment = MiniheapBytes;
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    last_fresh_bytes_ = 0;
    mapping* taken = take_idle(whole_bytes, alignment, most_spare_bytes);
    if (taken == nullptr) taken = grow_idle(supply, whole_bytes, alignment);
    is_last_fresh_ = taken == nullptr;
    if (taken == nullptr) {
      taken = map(supply, whole_bytes, alignment);
      if (taken == nullptr) return nullptr;
      last_fresh_bytes_ = whole_bytes;
    }
    taken->bytes = whole_bytes;
    taken->alignment = alignment;
    live_.insert_equal(*taken);
    add(*taken);
    ++count_;
    return reinterpret_cast<void*>(taken->address);
  }

  /// Whether what `allocate` gave last is as the page source mapped it.
  [[nodiscard]] bool is_last_fresh() const noexcept { return is_last_fresh_; }
  /// How much of it is yet to be faulted in.
  [[nodiscard]] std::size_t last_fresh_bytes() const noexcept { return last_fresh_bytes_; }

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

  /// Frees the large allocation that starts at `address`; its mapping is idle then. O(log n).
  void deallocate(std::uintptr_t address) noexcept {
    const auto it = live_.find(address, address_order{});
    mapping& gone = *it;
    live_.erase(it);
    --count_;
    make_idle(gone);
  }

  /// Grows or shrinks by remapping; where the mapping is now, or nullptr and nothing has changed. Never copies.
  template <class Supply>
  void* resize(Supply& supply, std::uintptr_t address, std::size_t bytes, std::size_t alignment) noexcept {
    const auto it = live_.find(address, address_order{});
    mapping& changed = *it;
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    std::size_t mapped_bytes = changed.mapped_bytes;
    if (alignment < changed.alignment) alignment = changed.alignment;
    void* p = reinterpret_cast<void*>(address);
    if (whole_bytes < changed.bytes || whole_bytes > mapped_bytes) {
      p = supply.remap(p, mapped_bytes, whole_bytes, alignment);
      if (p == nullptr) return nullptr;
      mapped_bytes = whole_bytes;
    }
    subtract(changed);
    live_.erase(it);
    changed.address = address_of(p);
    changed.mapped_bytes = mapped_bytes;
    changed.bytes = whole_bytes;
    changed.alignment = alignment;
    live_.insert_equal(changed);
    add(changed);
    return p;
  }

  /// Gives back until no more than `limit_bytes` are dirty: unmaps idle mappings, the longest first, then drops what is
  /// left over behind allocations. An idle mapping that the page source refuses is purged; one of them is tried again
  /// in each call. O(what goes, and what was refused).
  template <class Supply>
  void settle(Supply& supply, std::size_t limit_bytes) noexcept {
    bool is_refused = false;
    for (auto it = idle_.end(); (dirty_bytes() > limit_bytes || clean_bytes_ != 0) && it != idle_.begin();) {
      mapping& gone = *--it;
      if (gone.is_clean ? is_refused : dirty_bytes() <= limit_bytes) continue;
      ++it;
      if (!unmap_idle(supply, gone)) {
        is_refused = true;
        --it;
      }
    }
    for (auto it = live_.begin(); dirty_bytes() > limit_bytes && it != live_.end(); ++it) purge_rest(supply, *it);
  }

  /// Gives all back that is free, and gives the metadata back when there is nothing to describe.
  template <class Supply>
  void trim(Supply& supply) noexcept {
    for (mapping& m : live_) purge_rest(supply, m);
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
    live_.clear_and_dispose([this](mapping* gone) { make_idle(*gone); });
    count_ = 0;
    trim(supply);
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }
  /// Bytes that are mapped and not allocated: of idle mappings, or behind the end of an allocation.
  [[nodiscard]] std::size_t free_bytes() const noexcept { return mapped_bytes_ - live_bytes_; }
  /// Those of them that were not purged.
  [[nodiscard]] std::size_t dirty_bytes() const noexcept { return free_bytes() - clean_bytes_; }
  /// The least that was idle, and not purged, since the last call.
  [[nodiscard]] std::size_t take_least_idle_bytes() noexcept {
    return std::exchange(least_idle_bytes_, idle_bytes_ - smaller(idle_bytes_, clean_bytes_));
  }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept { return records_.mapped_bytes(); }

  /// Calls `visit(const mapping_info&)` for each, in address order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const mapping& m : live_) visit(mapping_info{reinterpret_cast<const void*>(m.address), m.bytes});
  }

  [[nodiscard]] check_result check() const noexcept {
    large_mappings counted;
    std::uintptr_t end = 0;
    for (const mapping& m : live_) {
      const auto* const where = reinterpret_cast<const void*>(m.address);
      if (m.address < end) return {"large mappings are in the order of their addresses and do not overlap", where};
      if (m.address % MiniheapBytes != 0) return {"a large mapping starts where a miniheap could start", where};
      if (m.bytes == 0 || m.bytes > m.mapped_bytes) return {"a large allocation ends with its mapping", where};
      end = m.address + m.mapped_bytes;
      counted.add(m);
      ++counted.count_;
    }
    for (const mapping& m : idle_) {
      if (m.bytes != 0) return {"nothing is allocated in an idle mapping", reinterpret_cast<const void*>(m.address)};
      counted.add(m);
    }
    const bool is_right = counted.mapped_bytes_ == mapped_bytes_ && counted.live_bytes_ == live_bytes_ &&
                          counted.idle_bytes_ == idle_bytes_ && counted.clean_bytes_ == clean_bytes_;
    return is_right && counted.count_ == count_ ? check_result{} : check_result{"large mappings are counted", this};
  }

 private:
  struct mapping : tree_hook {
    mapping(std::uintptr_t a, std::size_t b) noexcept : address{a}, mapped_bytes{b} {}

    [[nodiscard]] std::size_t free_bytes() const noexcept { return mapped_bytes - bytes; }

    std::uintptr_t address;
    std::size_t mapped_bytes;
    std::size_t bytes = 0;  // of the allocation; 0: idle
    std::size_t alignment = 0;
    bool is_clean = false;  // what is free of it was purged
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

  /// \name A mapping is counted except while it changes.
  ///@{
  void add(const mapping& m) noexcept {
    mapped_bytes_ += m.mapped_bytes;
    live_bytes_ += m.bytes;
    if (m.bytes == 0) idle_bytes_ += m.mapped_bytes;
    if (m.is_clean) clean_bytes_ += m.free_bytes();
  }

  /// What is free of it is no longer known to be clean.
  void subtract(mapping& m) noexcept {
    mapped_bytes_ -= m.mapped_bytes;
    live_bytes_ -= m.bytes;
    if (m.bytes == 0) idle_bytes_ -= m.mapped_bytes;
    if (m.is_clean) clean_bytes_ -= m.free_bytes();
    m.is_clean = false;
    least_idle_bytes_ = smaller(least_idle_bytes_, idle_bytes_);
  }
  ///@}

  template <class Supply>
  mapping* map(Supply& supply, std::size_t whole_bytes, std::size_t alignment) noexcept {
    void* const room = records_.take(supply);
    if (room == nullptr) return nullptr;
    void* const p = supply.map(whole_bytes, alignment);
    if (p != nullptr) return ::new (room) mapping{address_of(p), whole_bytes};
    records_.give(room);
    return nullptr;
  }

  /// The shortest idle mapping that is long enough, if it is not more than twice as long, and what is left over is not
  /// too much. O(log n).
  mapping* take_idle(std::size_t whole_bytes, std::size_t alignment, std::size_t most_spare_bytes) noexcept {
    const auto it = idle_.lower_bound(whole_bytes, length_order{});
    if (it == idle_.end() || it->mapped_bytes - whole_bytes > whole_bytes) return nullptr;
    if (free_bytes() - idle_bytes_ + it->mapped_bytes - whole_bytes > most_spare_bytes) return nullptr;
    mapping& taken = *it;
    if ((taken.address & (alignment - 1)) != 0) return nullptr;
    if (taken.is_clean) last_fresh_bytes_ = whole_bytes;
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
    last_fresh_bytes_ = whole_bytes - (taken.is_clean ? 0 : taken.mapped_bytes);
    take_out(taken);
    taken.address = address_of(p);
    taken.mapped_bytes = whole_bytes;
    return &taken;
  }

  void make_idle(mapping& gone) noexcept {
    subtract(gone);
    gone.bytes = 0;
    idle_.insert_equal(gone);
    add(gone);
  }

  void take_out(mapping& taken) noexcept {
    idle_.erase(idle_.iterator_to(taken));
    subtract(taken);
  }

  /// False: the page source will not take it back, and it stays. It loses its contents, so that at least the memory
  /// goes back.
  template <class Supply>
  bool unmap_idle(Supply& supply, mapping& gone) noexcept {
    if (!supply.unmap(reinterpret_cast<void*>(gone.address), gone.mapped_bytes)) {
      purge_rest(supply, gone);
      return false;
    }
    take_out(gone);
    records_.give(&gone);
    return true;
  }

  /// Drops the contents of what is free of a mapping.
  template <class Supply>
  void purge_rest(Supply& supply, mapping& m) noexcept {
    if (m.is_clean || m.free_bytes() == 0) return;
    m.is_clean = supply.purge(reinterpret_cast<void*>(m.address + m.bytes), m.free_bytes());
    if (m.is_clean) clean_bytes_ += m.free_bytes();
  }

  ordered<address_order> live_;
  ordered<length_order> idle_;
  std::size_t mapped_bytes_ = 0;
  std::size_t live_bytes_ = 0;
  std::size_t idle_bytes_ = 0;   // of idle mappings
  std::size_t clean_bytes_ = 0;  // free and purged
  std::size_t least_idle_bytes_ = 0;
  std::size_t last_fresh_bytes_ = 0;
  bool is_last_fresh_ = false;
  std::size_t count_ = 0;
  record_pool<mapping> records_;
};

}  // namespace miniheap::detail

// SPDX-License-Identifier: BSL-1.0
/// \file
/// Allocations of no bytes, of a hardened arena: addresses in pages that nobody can read or write.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/bitmap.hpp>
#include <miniheap/detail/units.hpp>
#include <miniheap/policy/lock.hpp>

namespace miniheap::detail {

/// Takes and gives addresses under a lock of its own.
template <class Mutex>
class empty_allocations {
 public:
  static constexpr std::uint32_t most = 16384;
  static constexpr std::size_t range_bytes = most * default_alignment;

  /// An address; nullptr: there is none left, or no such pages. `map(bytes)` gives pages that cannot be accessed, or
  /// nullptr.
  template <class Map>
  void* take(std::size_t alignment, Map map) noexcept {
    if (alignment > default_alignment) return nullptr;
    const guard locked{mutex_};
    if (base_ == 0 && !has_failed_) {
      void* const p = map(range_bytes);
      has_failed_ = p == nullptr;
      __atomic_store_n(&base_, address_of(p), __ATOMIC_RELAXED);
    }
    if (base_ == 0) return nullptr;
    // Addresses are used in turn, so that one that was freed is not used again soon.
    std::uint32_t n = used_.find_clear_from(next_);
    if (n >= most) n = used_.find_clear_from(0);
    if (n >= most) return nullptr;
    used_.set(n, 1);
    next_ = n + 1;
    return reinterpret_cast<void*>(base_ + n * default_alignment);
  }

  /// Whether `p` lies in these pages.
  [[nodiscard]] bool contains(const void* p) const noexcept {
    const std::uintptr_t base = __atomic_load_n(&base_, __ATOMIC_RELAXED);
    return base != 0 && address_of(p) - base < range_bytes;
  }

  /// Whether it is an allocation.
  [[nodiscard]] bool is_live(const void* p) const noexcept {
    const guard locked{mutex_};
    return is_used(p);
  }

  /// False: it is none.
  bool give(const void* p) noexcept {
    const guard locked{mutex_};
    if (!is_used(p)) return false;
    used_.clear(index_of(p), 1);
    return true;
  }

  [[nodiscard]] std::size_t count() const noexcept {
    const guard locked{mutex_};
    return used_.count();
  }

  /// Calls `unmap(p, bytes)` for the pages, whatever is alive.
  template <class Unmap>
  void release(Unmap unmap) noexcept {
    const guard locked{mutex_};
    if (base_ == 0 || !unmap(reinterpret_cast<void*>(base_), range_bytes)) return;
    __atomic_store_n(&base_, 0, __ATOMIC_RELAXED);
    used_ = {};
    next_ = 0;
  }

  void lock() const noexcept { mutex_.lock(); }
  void unlock() const noexcept { mutex_.unlock(); }

 private:
  using guard = mutex_guard<Mutex>;

  [[nodiscard]] std::uint32_t index_of(const void* p) const noexcept {
    return static_cast<std::uint32_t>((address_of(p) - base_) / default_alignment);
  }
  [[nodiscard]] bool is_used(const void* p) const noexcept {
    return address_of(p) % default_alignment == 0 && used_.test(index_of(p));
  }

  mutable Mutex mutex_;
  std::uintptr_t base_ = 0;  // 0: not mapped
  std::uint32_t next_ = 0;
  bool has_failed_ = false;
  bitmap<most> used_;
};

}  // namespace miniheap::detail

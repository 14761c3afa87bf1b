// SPDX-License-Identifier: BSL-1.0
// The program's own bookkeeping, kept apart from what it measures: mapped and populated at once, so that it is a
// constant that can be subtracted.
#pragma once

#include "../preload_workload/common.hpp"

#include <sys/mman.h>

#include <cstddef>
#include <type_traits>

namespace return_to_os {

/// Resident bytes of all arrays that are alive.
inline std::size_t own_bytes = 0;

/// A fixed number of zeroed elements that no allocator knows of.
template <class T>
class own_array {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  explicit own_array(std::size_t size) noexcept : size_{size}, bytes_{(size * sizeof(T) + 4095) / 4096 * 4096} {
    void* const p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED) workload::die("no memory for the bookkeeping");
    items_ = static_cast<T*>(p);
    own_bytes += bytes_;
  }

  own_array(const own_array&) = delete;
  own_array& operator=(const own_array&) = delete;

  ~own_array() {
    munmap(items_, bytes_);
    own_bytes -= bytes_;
  }

  std::size_t size() const noexcept { return size_; }

  T& operator[](std::size_t i) noexcept {
    if (i >= size_) workload::die("the bookkeeping is too small");
    return items_[i];
  }

 private:
  T* items_ = nullptr;
  std::size_t size_;
  std::size_t bytes_;
};

}  // namespace return_to_os

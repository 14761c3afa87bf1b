// SPDX-License-Identifier: BSL-1.0
// Arenas and a std::pmr pool as what a scenario plays with, in the place of malloc.
#pragma once

#include <miniheap/arena.hpp>
#include <miniheap/stats.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory_resource>

namespace return_to_os {

template <class Arena>
class arena_memory {
 public:
  void* allocate(std::size_t bytes) noexcept { return arena_.try_allocate(bytes); }
  void deallocate(void* p, std::size_t bytes) noexcept { arena_.deallocate(p, bytes); }
  void* reallocate(void* p, std::size_t, std::size_t bytes) noexcept { return arena_.try_reallocate(p, bytes); }
  void dropped() noexcept {}

  /// What the arena says that it has in memory: all that is mapped, less pages without contents, if it knows of those.
  static std::size_t held(const void* self) noexcept {
    const auto now = static_cast<const arena_memory*>(self)->arena_.stats();
    return now.resident_estimate();
  }

 private:
  Arena arena_;
};

/// Without a lock, on glibc's malloc.
class pool_memory {
 public:
  void* allocate(std::size_t bytes) { return pool_.allocate(bytes); }
  void deallocate(void* p, std::size_t bytes) { pool_.deallocate(p, bytes); }
  void* reallocate(void* p, std::size_t old, std::size_t bytes) {
    void* const q = pool_.allocate(bytes);
    std::memcpy(q, p, std::min(old, bytes));
    pool_.deallocate(p, old);
    return q;
  }
  void dropped() noexcept {}

 private:
  std::pmr::unsynchronized_pool_resource pool_;
};

}  // namespace return_to_os

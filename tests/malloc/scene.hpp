// SPDX-License-Identifier: BSL-1.0
// A small arena with malloc over it.
#pragma once

#include <miniheap/malloc_api.hpp>

#include <cerrno>

namespace malloc_tests {

using namespace miniheap;

inline constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0};
inline constexpr std::size_t limit_bytes = 4 * MiB;

/// What no arena serves.
inline constexpr std::size_t no_sizes[] = {
    PTRDIFF_MAX - 64 * KiB + 1, PTRDIFF_MAX, std::size_t{PTRDIFF_MAX} + 1, SIZE_MAX - 8192, SIZE_MAX - 1, SIZE_MAX};

/// A page source that leaves its mark in errno, as a system call does that fails.
struct marking_source : limited_source<> {
  using limited_source::limited_source;
  bool unmap(void* p, std::size_t bytes) noexcept {
    errno = E2BIG;
    return limited_source::unmap(p, bytes);
  }
  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    errno = E2BIG;
    return limited_source::map(bytes, alignment);
  }
};

struct arena_type : miniheap_arena<marking_source, no_lock, first_fit, fullest_first, tiny> {
  using miniheap_arena::miniheap_arena;
};

/// An arena that may map 4 MiB, and malloc over it.
struct scene {
  arena_type arena{marking_source{limit_bytes}, "small"};
  malloc_api<arena_type> api{arena};

  scene() { errno = 0; }
  [[nodiscard]] std::size_t live() const { return arena.stats().allocations; }
};

/// Looked at where the compiler cannot know what malloc promises.
template <class T>
T opaque(T value) {
  asm volatile("" : "+r"(value));
  return value;
}

}  // namespace malloc_tests

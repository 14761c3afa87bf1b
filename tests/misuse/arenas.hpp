// SPDX-License-Identifier: BSL-1.0
// The arenas that are misused, and a size for each way in which an allocation is served.
#pragma once

#include <miniheap/miniheap.hpp>

#include <cstddef>
#include <mutex>

namespace misuse {

using miniheap::KiB;
using miniheap::MiB;

struct tiny_arena
    : miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit, miniheap::fullest_first,
                               miniheap::arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 64 * KiB}> {
  using miniheap_arena::miniheap_arena;
};
struct locked_arena
    : miniheap::miniheap_arena<miniheap::mmap_source, miniheap::coarse_lock<std::mutex>, miniheap::good_fit,
                               miniheap::newest_first, miniheap::arena_config{.miniheap_bytes = 1 * MiB}> {
  using miniheap_arena::miniheap_arena;
};
struct default_arena : miniheap::miniheap_arena<> {
  using miniheap_arena::miniheap_arena;
};

inline constexpr std::size_t small_bytes = 48;
inline constexpr std::size_t medium_bytes = 20 * KiB;  // five pages
inline constexpr std::size_t large_bytes = 9 * MiB;

/// The same pointer, out of the compiler's sight: it warns of the obvious misdeeds.
template <class T>
T* unsuspected(T* p) {
  T* volatile hidden = p;
  return hidden;
}

inline std::byte* at_offset(void* p, std::size_t bytes) { return static_cast<std::byte*>(p) + bytes; }

}  // namespace misuse

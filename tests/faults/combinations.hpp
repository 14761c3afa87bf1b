// SPDX-License-Identifier: BSL-1.0
// The arenas whose page source fails: each policy, each kind of page source, and both layers, in some combination.
#pragma once

#include "faults/emulated_system.hpp"
#include "faults/faulty_arena.hpp"

#include <miniheap/policy/fit.hpp>

#include <vector>

namespace faults {

using miniheap::KiB;

/// Miniheaps in which every state is reached soon; large allocations begin at 32 KiB.
inline constexpr miniheap::arena_config with_reserve{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 64 * KiB};
inline constexpr miniheap::arena_config without_reserve{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0};
inline constexpr miniheap::arena_config huge_pages{
    .miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 256 * KiB, .huge_pages_from_bytes = 256 * KiB};
/// The bound of the reserve adapts.
inline constexpr miniheap::arena_config adaptive{.miniheap_bytes = 64 * KiB,
                                                 .large_threshold_bytes = 20 * KiB,
                                                 .reserve_floor_bytes = 32 * KiB,
                                                 .reserve_ceiling_bytes = 1024 * KiB,
                                                 .thread_cache_bytes = 64 * KiB};

/// Has a reserve that is a part of a miniheap.
inline constexpr miniheap::arena_config longer{.miniheap_bytes = 256 * KiB,
                                               .large_threshold_bytes = 64 * KiB,
                                               .reserve_ceiling_bytes = 128 * KiB,
                                               .float_gain_levels = 1};

/// Has the three verbs that a page source has to have, and no more; nothing that it maps is zero.
class plain_source {
 public:
  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    void* const p = inner_.map(bytes, alignment);
    return p == nullptr ? p : std::memset(p, 0xab, bytes);
  }
  bool unmap(void* p, std::size_t bytes) noexcept { return inner_.unmap(p, bytes); }
  bool purge(void* p, std::size_t bytes) noexcept { return inner_.purge(p, bytes); }

 private:
  emulated_system inner_;
};

template <class Source, class Lock, class Fit, class Selection, miniheap::arena_config Config>
using arena_of = miniheap::miniheap_arena<faulty_source<Source>, Lock, Fit, Selection, Config>;

/// `make_source()` makes a new page source for each arena.
template <class Arena, class Lock, class MakeSource>
combination combine(const char* name, MakeSource make_source) {
  using source = decltype(make_source());
  return {name, [make_source] { return std::make_unique<faulty<Arena, source, Lock>>(make_source()); }};
}

template <class Arena, class Lock>
combination combine(const char* name) {
  return combine<Arena, Lock>(name, [] { return emulated_system{}; });
}

/// Over the operating system, a buffer, and others. Those come first: what is unmapped costs more once there was a
/// thread.
std::vector<combination> over_other_sources();
/// Over an emulated system: without a lock; with locks of both kinds; with a thread cache.
std::vector<combination> single_threaded();
std::vector<combination> shared();
std::vector<combination> cached();

inline std::vector<combination> all_combinations() {
  std::vector<combination> all;
  for (const auto& part : {over_other_sources(), single_threaded(), shared(), cached()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace faults

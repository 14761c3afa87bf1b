// SPDX-License-Identifier: BSL-1.0
// Ours: a container's own arena without a lock, through an allocator with and without state; the same without checks,
// and hardened; the default arena with its lock.

#include "../harness.hpp"
#include "concept.hpp"

#include <miniheap/miniheap.hpp>

#include <cstddef>

namespace bench {

using unlocked_arena = miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock>;

/// A container's allocator holds the address of an arena that the contender has.
template <class Arena>
struct with_arena : ordinary {
  explicit with_arena(std::size_t) {}

  template <class T>
  miniheap::miniheap_allocator<T, Arena> make() noexcept {
    return arena_;
  }

 private:
  Arena arena_{"bench"};
};

template <miniheap::check_level Level>
using unlocked_arena_with = miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit,
                                                     miniheap::fullest_first, miniheap::arena_config{.checks = Level}>;

struct miniheap_no_lock : with_arena<unlocked_arena> {
  static constexpr const char* name = "miniheap_no_lock";
  using with_arena::with_arena;
};

struct miniheap_default : with_arena<miniheap::miniheap_arena<>> {
  static constexpr const char* name = "miniheap_default";
  using with_arena::with_arena;
};

// What the checks cost, by their absence.
struct miniheap_unchecked : with_arena<unlocked_arena_with<miniheap::check_level::none>> {
  static constexpr const char* name = "miniheap_unchecked";
  using with_arena::with_arena;
};

struct miniheap_hardened : with_arena<unlocked_arena_with<miniheap::check_level::hardened>> {
  static constexpr const char* name = "miniheap_hardened";
  using with_arena::with_arena;
};

inline unlocked_arena static_arena{"static"};

struct miniheap_static : ordinary {
  static constexpr const char* name = "miniheap_static";

  explicit miniheap_static(std::size_t) noexcept {}

  template <class T>
  miniheap::miniheap_static_allocator<T, static_arena> make() noexcept {
    return {};
  }
};

static_assert(contender<miniheap_no_lock> && contender<miniheap_default> && contender<miniheap_static>);
static_assert(contender<miniheap_unchecked> && contender<miniheap_hardened>);

}  // namespace bench

int main(int argc, char** argv) {
  return bench::run<bench::miniheap_no_lock, bench::miniheap_static, bench::miniheap_unchecked,
                    bench::miniheap_hardened, bench::miniheap_default>(argc, argv);
}

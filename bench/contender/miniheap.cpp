// SPDX-License-Identifier: BSL-1.0
// Ours: a container's own arena without a lock, through an allocator with and without state; the same without checks,
// and hardened; the default arena with its lock.

#include "../harness.hpp"
#include "concept.hpp"

#include <miniheap/miniheap.hpp>

#include <cstddef>

namespace bench {

using unlocked_arena = miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock>;

struct miniheap_no_lock : ordinary {
  static constexpr const char* name = "miniheap_no_lock";

  explicit miniheap_no_lock(std::size_t) {}

  template <class T>
  miniheap::miniheap_allocator<T, unlocked_arena> make() noexcept {
    return arena_;
  }

 private:
  unlocked_arena arena_{"bench"};
};

struct miniheap_default : ordinary {
  static constexpr const char* name = "miniheap_default";

  explicit miniheap_default(std::size_t) {}

  template <class T>
  miniheap::miniheap_allocator<T> make() noexcept {
    return arena_;
  }

 private:
  miniheap::miniheap_arena<> arena_{"bench"};
};

using unchecked_arena =
    miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit, miniheap::fullest_first,
                             miniheap::arena_config{.checks = miniheap::check_level::none}>;

// What the checks cost, by their absence.
struct miniheap_unchecked : ordinary {
  static constexpr const char* name = "miniheap_unchecked";

  explicit miniheap_unchecked(std::size_t) {}

  template <class T>
  miniheap::miniheap_allocator<T, unchecked_arena> make() noexcept {
    return arena_;
  }

 private:
  unchecked_arena arena_{"bench"};
};

using hardened_arena =
    miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit, miniheap::fullest_first,
                             miniheap::arena_config{.checks = miniheap::check_level::hardened}>;

struct miniheap_hardened : ordinary {
  static constexpr const char* name = "miniheap_hardened";

  explicit miniheap_hardened(std::size_t) {}

  template <class T>
  miniheap::miniheap_allocator<T, hardened_arena> make() noexcept {
    return arena_;
  }

 private:
  hardened_arena arena_{"bench"};
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

// SPDX-License-Identifier: BSL-1.0
// Threads in a ring: each allocates for the next one, and frees what the one before it allocated.
#include "catch.hpp"
#include "environment.hpp"
#include "random.hpp"
#include "threads/arenas.hpp"

#include <array>
#include <atomic>
#include <deque>
#include <iostream>

using namespace threads;

namespace {

/// From one thread to one other.
class queue {
 public:
  static constexpr std::size_t room = 4'096;
  static constexpr std::size_t at_once = 64;

  [[nodiscard]] bool has_room() const noexcept {
    return put_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_acquire) <= room - at_once;
  }
  /// `at_once` of them. There is room.
  void put(const std::array<void*, at_once>& all) noexcept {
    const std::size_t first = put_.load(std::memory_order_relaxed);
    for (std::size_t n = 0; n < at_once; ++n) places_[(first + n) % room] = all[n];
    put_.store(first + at_once, std::memory_order_release);
  }
  /// False: there are none.
  bool take(std::array<void*, at_once>& all) noexcept {
    const std::size_t first = taken_.load(std::memory_order_relaxed);
    if (put_.load(std::memory_order_acquire) == first) return false;
    for (std::size_t n = 0; n < at_once; ++n) all[n] = places_[(first + n) % room];
    taken_.store(first + at_once, std::memory_order_release);
    return true;
  }

 private:
  alignas(64) std::atomic<std::size_t> put_{0};
  alignas(64) std::atomic<std::size_t> taken_{0};
  alignas(64) std::array<void*, room> places_{};
};

/// What stands in an allocation: where it is, and how long.
struct label {
  const void* self;
  std::size_t bytes;
};

std::size_t choose_bytes(random_numbers& random) noexcept {
  const std::uint64_t dice = random.next();
  if (dice % 4'096 == 0) return 9'000 + dice % 30'000;
  if (dice % 32 == 0) return 16 + dice % 8'000;
  return 16 + (dice >> 32) % 240;
}

/// One thread of the ring; how many allocations were not as they were left, or not there.
template <class Arena>
std::uint64_t live(Arena& arena, queue& from, queue& to, std::uint64_t count, std::uint64_t seed) {
  random_numbers random{seed};
  std::array<void*, queue::at_once> some{};
  std::uint64_t faults = 0;
  for (std::uint64_t made = 0, freed = 0; made < count || freed < count;) {
    bool is_idle = true;
    if (made < count && to.has_room()) {
      for (void*& p : some) {
        const std::size_t bytes = choose_bytes(random);
        p = arena.try_allocate(bytes);
        if (p == nullptr) return UINT64_MAX;
        new (p) label{p, bytes};
      }
      to.put(some);
      made += some.size();
      is_idle = false;
    }
    if (from.take(some)) {
      for (void* const p : some) {
        const label l = *static_cast<label*>(p);
        faults += l.self != p ? 1 : 0;
        *static_cast<label*>(p) = {};
        l.bytes % 2 == 0 ? arena.deallocate(p, l.bytes) : arena.deallocate(p);
      }
      freed += some.size();
      is_idle = false;
    }
    if (is_idle) std::this_thread::yield();
  }
  return faults;
}

/// How many allocations crossed.
template <class Arena>
std::uint64_t cross(Arena& arena, unsigned count, std::uint64_t frees) {
  const std::uint64_t each = frees / count / queue::at_once * queue::at_once + queue::at_once;
  std::deque<queue> queues(count);
  std::atomic<std::uint64_t> faults = 0;
  in_threads(count, [&](unsigned n) { faults += live(arena, queues[n], queues[(n + 1) % count], each, n + 1); });
  CHECK(faults == 0);
  CHECK(arena.stats().allocations == 0);
  CHECK(arena.check());
  arena.trim();
  CHECK(arena.stats().miniheaps == 0);
  return each * count;
}

}  // namespace

TEST_CASE("threads: what one thread allocates another one frees, millions of times", "[threads]") {
  miniheap_server_arena arena{"crossed"};
  std::uint64_t frees = 0;
  for (const unsigned count : {2u, 4u}) frees += cross(arena, count, wanted_operations() / 2);
  std::cout << frees << " frees in another thread than the allocation" << std::endl;
}

TEMPLATE_LIST_TEST_CASE("threads: what one thread allocates another one frees, in each kind of arena", "[threads]",
                        arenas) {
  TestType arena{"crossed"};
  cross(arena, 3, wanted_operations() / 100);
}

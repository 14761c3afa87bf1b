// SPDX-License-Identifier: BSL-1.0
// What one thread allocated goes back to the system when another frees the last of it.
#include "catch.hpp"
#include "threads/arenas.hpp"

#include <atomic>

using namespace threads;

TEMPLATE_TEST_CASE("threads: the last free gives a miniheap back, whichever thread it is in", "[threads]",
                   coarse_lock<>, coarse_lock<std::mutex>, fine_grained_lock) {
  using arena_type = shared_arena<TestType, 64 * KiB, 0>;
  arena_type arena{"emptied"};
  std::vector<void*> all;
  const auto bytes_of = [](std::size_t n) { return std::size_t{n % 7 == 0 ? 5'000u : 48u}; };
  std::thread{[&] {
    for (std::size_t n = 0; n < 5'000; ++n) all.push_back(arena.allocate(bytes_of(n)));
  }}.join();
  REQUIRE(arena.stats().miniheaps > 5);
  SECTION("one thread") {
    std::thread{[&] {
      for (void* const p : all) arena.deallocate(p);
    }}.join();
  }
  SECTION("four threads") {
    std::atomic<std::size_t> next = 0;
    in_threads(4, [&](unsigned) {
      for (std::size_t n = next++; n < all.size(); n = next++) arena.deallocate(all[n]);
    });
  }
  SECTION("batches of four threads") {
    std::atomic<std::size_t> next = 0;
    in_threads(4, [&](unsigned) {
      for (std::size_t n = next++; n < all.size(); n = next++) {
        arena.deallocate_batch(arena_type::stock_class(bytes_of(n), 16), &all[n], 1);
      }
    });
  }
  CHECK(arena.stats().miniheaps == 0);
  CHECK(arena.source().counts().mapped_bytes == arena.stats().metadata_bytes);
}

TEST_CASE("threads: nobody is in an arena that is locked for a fork", "[threads]") {
  shared_arena<fine_grained_lock, 64 * KiB, 0> arena{"held"};
  void* const p = arena.allocate(100);
  arena.lock();
  std::atomic<bool> is_done = false;
  std::thread other{[&] {
    arena.deallocate(arena.allocate(100));
    is_done = true;
  }};
  CHECK(!arena.try_dump([](std::string_view) {}));
  for (int n = 0; n < 1'000; ++n) std::this_thread::yield();
  CHECK(!is_done);  // nobody else is in the arena between lock and unlock
  arena.unlock();
  other.join();
  CHECK(is_done);
  arena.deallocate(p);
  CHECK(arena.try_dump([](std::string_view) {}));
}

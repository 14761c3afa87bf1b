// SPDX-License-Identifier: BSL-1.0
#include <miniheap/arena.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

using namespace miniheap;

namespace {

template <class Work>
void in_threads(int count, Work work) {
  std::vector<std::thread> threads;
  for (int n = 0; n < count; ++n) threads.emplace_back(work, n);
  for (std::thread& thread : threads) thread.join();
}

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_bytes = 64 * KiB};

}  // namespace

TEST_CASE("lock: one thread at a time holds a futex_mutex", "[lock]") {
  futex_mutex mutex;
  std::uint64_t count = 0;
  int inside = 0;
  std::atomic<bool> was_alone = true;
  const int rounds = 100000;
  in_threads(4, [&](int n) {
    for (int i = 0; i < rounds; ++i) {
      if (i % 5 == n) {
        while (!mutex.try_lock()) std::this_thread::yield();
      } else {
        mutex.lock();
      }
      if (++inside != 1) was_alone = false;
      ++count;
      if (i % 1000 == 0) std::this_thread::yield();
      --inside;
      mutex.unlock();
    }
  });
  CHECK(count == 4 * rounds);
  CHECK(was_alone);
}

TEST_CASE("lock: a futex_mutex that is held is not to be had, before and after there were threads", "[lock]") {
  for (int round = 0; round < 2; ++round) {
    futex_mutex mutex;
    mutex.lock();
    CHECK(!mutex.try_lock());
    mutex.unlock();
    CHECK(mutex.try_lock());
    mutex.unlock();
    mutex.lock();
    bool was_held = false;
    std::thread other{[&] {
      was_held = !mutex.try_lock();
      mutex.lock();  // sleeps until the other thread lets go
      mutex.unlock();
    }};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    mutex.unlock();
    other.join();
    CHECK(was_held);
    CHECK(mutex.try_lock());
    mutex.unlock();
  }
}

TEMPLATE_TEST_CASE("lock: four threads use one arena", "[lock]", coarse_lock<>, coarse_lock<std::mutex>) {
  using arena_type = miniheap_arena<counting_source<>, TestType, good_fit, fullest_first, tiny>;
  arena_type arena{"shared"};
  std::atomic<int> broken = 0;
  in_threads(4, [&](int thread) {
    random_numbers random{static_cast<std::uint64_t>(thread)};
    struct piece {
      unsigned char* p;
      std::size_t bytes;
    };
    std::vector<piece> live;
    const auto pattern = static_cast<unsigned char>(thread * 40 + 1);
    for (int n = 0; n < 10000; ++n) {
      if (live.size() < 200 && random.one_in(2)) {
        const std::size_t bytes = random.one_in(50) ? random.between(9000u, 80000u) : random.between(1u, 600u);
        live.push_back({static_cast<unsigned char*>(arena.allocate(bytes)), bytes});
        std::memset(live.back().p, pattern, bytes);
      } else if (!live.empty()) {
        std::swap(live[random.below(live.size())], live.back());
        const auto [p, bytes] = live.back();
        if (p[0] != pattern || p[bytes / 2] != pattern || p[bytes - 1] != pattern) ++broken;
        random.one_in(2) ? arena.deallocate(p) : arena.deallocate(p, bytes);
        live.pop_back();
      }
      if (n % 2500 == 0 && !arena.check()) ++broken;
      if (n % 500 == 0) arena.trim();
    }
    for (const piece& left : live) arena.deallocate(left.p);
  });
  CHECK(broken == 0);
  CHECK(arena.check());
  CHECK(arena.stats().allocations == 0);
  CHECK(arena.stats().miniheaps <= 1);
  arena.release();
  CHECK(arena.source().counts().mapped_bytes == 0);
}

TEST_CASE("lock: no_lock takes no room", "[lock]") {
  using unlocked = miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, tiny>;
  using locked = miniheap_arena<mmap_source, coarse_lock<>, first_fit, fullest_first, tiny>;
  CHECK(sizeof(unlocked) <= sizeof(locked));
  CHECK(std::is_empty_v<no_lock::set_lock>);
  CHECK(sizeof(futex_mutex) == 4);
}

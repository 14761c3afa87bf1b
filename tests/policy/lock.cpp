// SPDX-License-Identifier: BSL-1.0
#include <miniheap/arena.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace miniheap;

namespace {

template <class Work>
void in_threads(int count, Work work) {
  std::vector<std::thread> threads;
  for (int n = 0; n < count; ++n) threads.emplace_back(work, n);
  for (std::thread& thread : threads) thread.join();
}

/// Waits until a thread waits to hold a lock exclusively; the caller holds it shared.
void await_writer(futex_shared_mutex& mutex) {
  while (mutex.try_lock_shared()) {
    mutex.unlock_shared();
    std::this_thread::yield();
  }
}

constinit futex_shared_mutex static_mutex;

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 64 * KiB};

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

TEST_CASE("lock: a futex_shared_mutex has many readers or one writer", "[lock]") {
  futex_shared_mutex mutex;
  std::uint64_t twice[2] = {0, 0};  // equal for whoever holds the lock
  std::atomic<int> broken = 0;
  const int rounds = 40000;
  in_threads(4, [&](int n) {
    for (int i = 0; i < rounds; ++i) {
      if (i % 8 == 2 * n) {
        if (i % 16 == 2 * n) {
          mutex.lock();
        } else {
          while (!mutex.try_lock()) std::this_thread::yield();
        }
        if (++twice[0] != ++twice[1]) ++broken;
        if (i % 1000 == 0) std::this_thread::yield();
        mutex.unlock();
      } else {
        mutex.lock_shared();
        if (twice[0] != twice[1]) ++broken;
        if (i % 1000 == 0) std::this_thread::yield();
        mutex.unlock_shared();
      }
    }
  });
  CHECK(broken == 0);
  CHECK(twice[0] == 4 * rounds / 8);
  CHECK(twice[1] == 4 * rounds / 8);
}

TEST_CASE("lock: readers hold a futex_shared_mutex at the same time", "[lock]") {
  futex_shared_mutex& mutex = static_mutex;
  for (int round = 0; round < 2; ++round) {  // before and after there were threads
    mutex.lock_shared();
    CHECK(mutex.try_lock_shared());
    CHECK(!mutex.try_lock());
    std::thread{[&] {
      mutex.lock_shared();
      mutex.unlock_shared();
    }}.join();
    mutex.unlock_shared();
    mutex.unlock_shared();
    CHECK(mutex.try_lock());
    CHECK(!mutex.try_lock_shared());
    CHECK(!mutex.try_lock());
    mutex.unlock();
    mutex.lock();
    CHECK(!mutex.try_lock_shared());
    mutex.unlock();
  }
}

TEST_CASE("lock: a writer that waits for a futex_shared_mutex comes before new readers", "[lock]") {
  futex_shared_mutex mutex;
  std::string order;  // whoever writes holds the lock
  mutex.lock_shared();
  std::thread writer{[&] {
    mutex.lock();
    order += "writer ";
    mutex.unlock();
  }};
  await_writer(mutex);
  std::thread reader{[&] {
    mutex.lock_shared();
    order += "reader ";
    mutex.unlock_shared();
  }};
  std::this_thread::sleep_for(std::chrono::milliseconds{20});  // both sleep
  order += "first ";
  mutex.unlock_shared();
  writer.join();
  reader.join();
  CHECK(order == "first writer reader ");
}

TEST_CASE("lock: writers are not starved by readers that never leave a futex_shared_mutex alone", "[lock]") {
  futex_shared_mutex mutex;
  std::atomic<int> written = 0;
  in_threads(3, [&](int n) {
    if (n == 0) {
      for (; written < 200; ++written) {
        mutex.lock();
        mutex.unlock();
      }
      return;
    }
    while (written < 200) {
      mutex.lock_shared();
      std::this_thread::yield();  // the other reader is inside before this one leaves
      mutex.unlock_shared();
    }
  });
  CHECK(written == 200);
}

TEST_CASE("lock: a child that was forked under a futex_shared_mutex goes on with it", "[lock]") {
  futex_shared_mutex mutex;
  mutex.lock();
  std::thread reader{[&] {
    mutex.lock_shared();
    mutex.unlock_shared();
  }};
  std::thread writer{[&] {
    mutex.lock();
    mutex.unlock();
  }};
  std::this_thread::sleep_for(std::chrono::milliseconds{20});  // both sleep, and neither is in the child
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);  // to wait for ever is a failure too
    mutex.unlock();
    mutex.lock_shared();
    mutex.unlock_shared();
    mutex.lock();
    mutex.unlock();
    ::_exit(mutex.try_lock() ? 0 : 1);
  }
  mutex.unlock();
  reader.join();
  writer.join();
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEMPLATE_TEST_CASE("lock: four threads use one arena", "[lock]", coarse_lock<>, coarse_lock<std::mutex>,
                   fine_grained_lock) {
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
  CHECK(sizeof(futex_shared_mutex) == 8);
}

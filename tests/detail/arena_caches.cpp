// SPDX-License-Identifier: BSL-1.0
// The stocks of an arena's threads.
#include <miniheap/thread_cache.hpp>

#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "cached_arena.hpp"
#include "catch.hpp"
#include "environment.hpp"

#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace miniheap;

namespace {

// ThreadSanitizer gives up on a process that forks and then starts threads.
constexpr int threads_in_child = is_thread_sanitized ? 0 : 3;

/// A function that stops in the middle, and is continued by whichever thread asks for it.
struct fiber {
  explicit fiber(void (*function)()) {
    ::getcontext(&own);
    own.uc_stack.ss_sp = stack.data();
    own.uc_stack.ss_size = stack.size();
    ::makecontext(&own, function, 0);
  }
  void go_on() { ::swapcontext(&caller, &own); }
  void stop() { ::swapcontext(&own, &caller); }

  ucontext_t own{};
  ucontext_t caller{};
  std::vector<char> stack = std::vector<char>(256 * KiB);
};

}  // namespace

TEST_CASE("arena_caches: the stock of a thread that lives on goes with the arena, and starts anew after a release",
          "[arena_caches]") {
  std::optional<cached_arena> arena{std::in_place};
  for (int round = 0; round < 2; ++round) {
    const auto all = allocate_some(*arena, 500, 64);
    std::uint32_t step = 0;
    std::thread other{[&] {
      deallocate_all(*arena, all);
      __atomic_store_n(&step, 1, __ATOMIC_SEQ_CST);
      while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) != 2) std::this_thread::yield();
    }};
    while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) != 1) std::this_thread::yield();
    CHECK(arena->stats().cache_bytes > 0);
    round == 0 ? arena->release() : arena.reset();
    if (arena) CHECK(arena->stats().cache_bytes == 0);
    if (arena) CHECK(arena->source().counts().mapped_bytes == 0);
    __atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
    other.join();
  }
}

TEST_CASE("arena_caches: trim tells of all the bytes that go back, those of stocks included", "[arena_caches]") {
  cached_arena arena;
  const auto verify = [&] {
    const source_counts before = arena.source().counts();
    const std::size_t told_bytes = arena.trim();
    const source_counts& after = arena.source().counts();
    CHECK(told_bytes > 0);
    CHECK(told_bytes == after.purged_bytes - before.purged_bytes + before.mapped_bytes - after.mapped_bytes);
  };
  void* const kept = arena.allocate(64);
  arena.deallocate(arena.allocate(20000));
  verify();  // pages of a miniheap that stays
  deallocate_all(arena, allocate_some(arena, 80, 8000));
  verify();  // a miniheap, too
  const auto all = allocate_some(arena, 500, 64);
  arena.flush();
  std::thread{[&] { deallocate_all(arena, all); }}.join();
  verify();  // what was the cache of a thread
  arena.deallocate(kept);
  verify();
  CHECK(arena.stats().miniheaps == 0);
}

TEST_CASE("arena_caches: in the child of a fork the caches of other threads are spare", "[arena_caches]") {
  std::optional<cached_arena> arena{std::in_place};
  std::vector<std::thread> others;
  std::uint32_t ready = 0;
  bool is_over = false;
  for (int n = 0; n < 8; ++n) {
    others.emplace_back([&] {
      deallocate_all(*arena, allocate_some(*arena, 100, 64));
      __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
      while (!__atomic_load_n(&is_over, __ATOMIC_SEQ_CST)) std::this_thread::yield();
    });
  }
  while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < 8) std::this_thread::yield();
  arena->lock();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    arena->after_fork_in_child();
    arena->unlock();
    const std::size_t metadata_bytes = arena->stats().metadata_bytes;
    for (int n = 0; n < threads_in_child; ++n) {
      std::thread{[&] { deallocate_all(*arena, allocate_some(*arena, 100, 64)); }}.join();
    }
    const bool is_sound = arena->check() && arena->stats().metadata_bytes == metadata_bytes;
    arena.reset();
    ::_exit(is_sound ? 0 : 1);
  }
  arena->unlock();
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  __atomic_store_n(&is_over, true, __ATOMIC_SEQ_CST);
  for (std::thread& other : others) other.join();
  CHECK(arena->check());
}

TEST_CASE("arena_caches: what is asked of the arena behind them is the arena's answer", "[arena_caches]") {
  const cached_arena arena;
  CHECK(arena.name() == std::string{"unnamed"});
  CHECK(arena.mapped_bytes() == 0);
  CHECK(arena.mapped_bytes() == arena.source().counts().mapped_bytes);
}

TEST_CASE("arena_caches: a fiber uses the stock of the thread that it is in", "[arena_caches]") {
  if (is_thread_sanitized) return;  // it wants to be told of fibers
  static miniheap_server_arena arena;
  static void* in_fiber = nullptr;
  static fiber moving{[] {
    for (;;) {  // compilers take what they can out of a loop
      in_fiber = arena.allocate(64);
      moving.stop();
      arena.deallocate(in_fiber, 64);
      moving.stop();
    }
  }};
  moving.go_on();
  void* next = nullptr;
  std::thread{[&] {
    arena.deallocate(arena.allocate(64), 64);
    moving.go_on();
    next = arena.allocate(64);
  }}.join();
  CHECK(next == in_fiber);
  arena.deallocate(next);
}

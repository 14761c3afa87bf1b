// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/process_arena.hpp>
#include <miniheap/thread_cache.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "../catch.hpp"

using namespace miniheap::detail;

namespace {

/// Notes what is asked of it; each tag is an arena of a process of its own.
template <class Tag>
struct fake_arena {
  static inline std::atomic<int> constructed = 0;

  explicit fake_arena(const char* its_name) noexcept : name{its_name} { ++constructed; }

  void lock() noexcept { locked += 1; }
  void unlock() noexcept { locked -= 1; }
  void after_fork_in_child() noexcept { is_child = true; }

  const char* name;
  int locked = 0;
  bool is_child = false;
};

struct quick_arena : fake_arena<quick_arena> {
  using fake_arena::fake_arena;
  void* try_allocate_quickly(std::size_t bytes) noexcept { return name != nullptr && bytes == 1 ? this : nullptr; }
  bool try_deallocate_quickly(void* p) noexcept { return p == this; }
  bool try_deallocate_quickly(void* p, std::size_t bytes) noexcept { return p == this && bytes == 1; }
};

struct for_threads;
struct for_fork;

/// Arenas of this file's own.
template <class Arena>
struct never_constructed : Arena {
  using Arena::Arena;
};

}  // namespace

TEST_CASE("process arena: constructed by the first call, once, whoever makes it", "[process]") {
  using arena = process_arena<fake_arena<for_threads>>;
  CHECK(arena::find() == nullptr);
  CHECK(fake_arena<for_threads>::constructed == 0);
  std::vector<std::thread> threads;
  std::atomic<bool> is_open = false;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      while (!is_open) {
      }
      static_cast<void>(arena::instance());
    });
  }
  is_open = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(fake_arena<for_threads>::constructed == 1);
  CHECK(arena::find() == &arena::instance());
  CHECK(arena::instance().name == std::string{"malloc"});
}

TEST_CASE("process arena: the quick path is taken where there is one, and not before the arena is there", "[process]") {
  using arena = process_arena<quick_arena>;
  int here = 0;
  CHECK(arena::allocate_quickly(1) == nullptr);
  CHECK_FALSE(arena::deallocate_quickly(&here));
  CHECK(quick_arena::constructed == 0);
  quick_arena& made = arena::instance();
  CHECK(arena::allocate_quickly(1) == &made);
  CHECK(arena::allocate_quickly(2) == nullptr);
  CHECK(arena::deallocate_quickly(&made));
  CHECK_FALSE(arena::deallocate_quickly(&here));
  CHECK(arena::deallocate_quickly(&made, std::size_t{1}));
  CHECK_FALSE(arena::deallocate_quickly(&made, std::size_t{2}));

  using plain = process_arena<fake_arena<for_threads>>;
  static_cast<void>(plain::instance());
  CHECK(plain::allocate_quickly(1) == nullptr);
  CHECK_FALSE(plain::deallocate_quickly(&here));
}

TEMPLATE_TEST_CASE("process arena: the quick path of an arena finds nothing in memory that is zero", "[process]",
                   miniheap::miniheap_server_arena, miniheap::miniheap_unchecked_arena,
                   miniheap::miniheap_hardened_arena) {
  using arena = process_arena<never_constructed<TestType>>;
  std::thread{[] {  // which has never had a cache
    int here = 0;
    CHECK(arena::allocate_quickly(16) == nullptr);
    for (void* const p : {static_cast<void*>(nullptr), static_cast<void*>(&here)}) {
      CHECK_FALSE(arena::deallocate_quickly(p));
      CHECK_FALSE(arena::deallocate_quickly(p, sizeof here));
    }
  }}
      .join();
  CHECK(arena::find() == nullptr);
}

TEST_CASE("process arena: locked around a fork, unlocked in both processes", "[process]") {
  static int locked_in_fork = 0;
  using arena = process_arena<fake_arena<for_fork>>;
  // Registered before the arena's, so it runs after it: the arena is locked by then.
  REQUIRE(::pthread_atfork([] { locked_in_fork = arena::find() != nullptr ? arena::find()->locked : -1; }, nullptr,
                           nullptr) == 0);
  auto& made = arena::instance();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(made.locked == 0 && made.is_child ? 0 : 1);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(locked_in_fork == 1);
  CHECK(made.locked == 0);
  CHECK_FALSE(made.is_child);
}

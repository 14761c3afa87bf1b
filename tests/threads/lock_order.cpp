// SPDX-License-Identifier: BSL-1.0
// Where assertions are on, a lock that is asked for against the order ends the program with a message.
#include <miniheap/detail/lock_order.hpp>

#include "catch.hpp"
#include "misuse/child.hpp"
#include "threads/arenas.hpp"

using namespace threads;

namespace {

constexpr const char* set_after_set =
    "lock order: a thread waits for the lock of the set and holds the lock of the set\n";
constexpr const char* set_after_one =
    "lock order: a thread waits for the lock of the set and holds the lock of a miniheap\n";

void require_stopped(const misuse::ending& how, const char* message) {
  INFO("stderr of the child: " << how.text);
  if (!detail::checks_lock_order) {
    CHECK(how.exit_code == 0);
    return;
  }
  CHECK(how.signal == SIGABRT);
  CHECK(how.text == misuse::about(how, "ordered") + message);
}

}  // namespace

TEST_CASE("threads: a miniheap's lock comes after that of the set", "[threads]") {
  using detail::lock_rank;
  int dummy = 0;
  const detail::arena_identity one{"ordered", &dummy};
  const detail::arena_identity other{"other", &one};
  require_stopped(misuse::in_child([&](misuse::culprit& named) {
                    named.arena = one.address;
                    futex_mutex miniheap;
                    futex_shared_mutex set;
                    const detail::lock_guard first{miniheap, one, lock_rank::miniheap};
                    const detail::shared_guard second{set, one};
                  }),
                  set_after_one);
  const misuse::ending right = misuse::in_child([&](misuse::culprit&) {
    futex_mutex miniheap;
    futex_shared_mutex set;
    futex_shared_mutex set_of_other;
    for (int n = 0; n < 2; ++n) {
      const detail::shared_guard first{set, one};
      const detail::lock_guard second{miniheap, one, lock_rank::miniheap};
      const detail::lock_guard third{set_of_other, other, lock_rank::set};  // another arena has an order of its own
    }
  });
  CHECK(right.signal == 0);
  CHECK(right.text.empty());
}

TEST_CASE("threads: who has locked an arena does not use it", "[threads]") {
  if (!detail::checks_lock_order) return;  // it would wait for ever
  require_stopped(misuse::in_child([&](misuse::culprit& named) {
                    ::alarm(20);
                    shared_arena<fine_grained_lock, 64 * KiB, 0> arena{"ordered"};
                    named.arena = &arena;
                    arena.lock();
                    static_cast<void>(arena.try_allocate(10));
                  }),
                  set_after_set);
}

// SPDX-License-Identifier: BSL-1.0
// Threads in different miniheaps do not wait for each other: here one miniheap is held by a thread that does not let it
// go before it has seen what the others do.
#include <miniheap/detail/concurrent_core.hpp>

#include "catch.hpp"
#include "threads/arenas.hpp"

#include <atomic>

using namespace threads;

namespace {

constexpr arena_config without_reserve{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0};
constexpr std::size_t some_bytes = 1'024;  // four in a slab of one page

/// The engine of an arena, with its miniheaps in reach.
struct engine : detail::concurrent_core<mmap_source, fine_grained_lock, first_fit, fullest_first, without_reserve> {
  engine() : concurrent_core{mmap_source{}, "engine"} {}
  ~engine() {
    for (void* const p : all) give(p);
    CHECK(check());
    CHECK(miniheaps().size() == 0);
  }
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  void* take() { return allocate(lock, some_bytes, 16); }
  void give(void* p) { deallocate(lock, p); }
  static descriptor& miniheap_of(const void* p) { return descriptor::of(detail::address_of(p)); }
  static bool has_slot(descriptor& m) { return !m.bin_of(detail::size_class(some_bytes)).slabs.empty(); }

  /// Allocates until there are so many miniheaps: all are full but the last, of which one slot is used.
  void fill(std::size_t count) {
    while (miniheaps().size() < count) all.push_back(take());
  }

  /// Frees two slots of the first slab of the first miniheap.
  void make_room() {
    for (int n = 0; n < 2; ++n) {
      give(all.front());
      all.erase(all.begin());
    }
  }

  /// What a thread holds that is at work in a miniheap.
  void enter(descriptor& m) {
    lock.lock_shared();
    m.lock.lock();
  }
  void leave(descriptor& m) {
    m.lock.unlock();
    lock.unlock_shared();
  }

  std::vector<void*> all;
  fine_grained_lock::set_lock lock;
};

void yield_often() {
  for (int n = 0; n < 1'000; ++n) std::this_thread::yield();
}

}  // namespace

TEST_CASE("threads: a miniheap that is busy is passed over, and others are free to use", "[threads]") {
  engine core;
  core.fill(2);
  core.make_room();
  engine::descriptor& first = engine::miniheap_of(core.all.front());
  engine::descriptor& second = engine::miniheap_of(core.all.back());
  REQUIRE(&first != &second);

  core.enter(first);
  void* elsewhere = nullptr;
  std::thread{[&] {  // it would wait for ever if it waited for the miniheap, or for the set
    elsewhere = core.take();
    CHECK(core.usable_size(core.lock, elsewhere) == some_bytes);
    core.give(elsewhere);
    elsewhere = core.take();
  }}
      .join();
  core.leave(first);
  CHECK(&engine::miniheap_of(elsewhere) == &second);
  core.all.push_back(elsewhere);

  core.all.push_back(core.take());
  CHECK(&engine::miniheap_of(core.all.back()) == &first);  // the fuller one, now that it is not busy
}

TEST_CASE("threads: a free waits for the miniheap that it is in", "[threads]") {
  engine core;
  core.fill(1);
  for (int n = 0; n < 2; ++n) core.all.push_back(core.take());
  engine::descriptor& m = engine::miniheap_of(core.all.back());
  std::atomic<bool> is_done = false;
  core.enter(m);
  std::thread other{[&, p = core.all.back()] {
    core.give(p);
    is_done = true;
  }};
  core.all.pop_back();
  yield_often();
  CHECK(!is_done);
  core.leave(m);
  other.join();
}

TEST_CASE("threads: where all slabs with a free slot are busy, another is carved in a miniheap that has room",
          "[threads]") {
  engine core;
  core.fill(2);
  engine::descriptor& first = engine::miniheap_of(core.all.front());
  engine::descriptor& second = engine::miniheap_of(core.all.back());
  while (engine::has_slot(second)) core.all.push_back(core.take());
  core.make_room();
  REQUIRE(engine::has_slot(first));

  core.enter(first);
  void* elsewhere = nullptr;
  std::thread other{[&] { elsewhere = core.take(); }};
  while (core.lock.try_lock_shared()) {  // until the other waits for the set
    core.lock.unlock_shared();
    std::this_thread::yield();
  }
  core.leave(first);
  other.join();
  CHECK(&engine::miniheap_of(elsewhere) == &second);
  CHECK(core.miniheaps().size() == 2);
  core.all.push_back(elsewhere);
}

TEST_CASE("threads: where all that has room is busy it is waited for, and contention alone maps nothing", "[threads]") {
  engine core;
  core.fill(3);
  core.give(core.all.back());
  core.all.pop_back();
  REQUIRE(core.miniheaps().size() == 2);
  core.make_room();
  engine::descriptor& first = engine::miniheap_of(core.all.front());

  core.enter(first);
  std::atomic<bool> is_done = false;
  void* waited = nullptr;
  std::thread other{[&] {
    waited = core.take();
    is_done = true;
  }};
  yield_often();
  CHECK(!is_done);
  const bool is_set_free = core.lock.try_lock_shared();
  CHECK(is_set_free);
  if (is_set_free) core.lock.unlock_shared();
  core.leave(first);
  other.join();
  CHECK(&engine::miniheap_of(waited) == &first);
  CHECK(core.miniheaps().size() == 2);
  core.all.push_back(waited);
}

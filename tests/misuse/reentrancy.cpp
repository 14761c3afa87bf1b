// SPDX-License-Identifier: BSL-1.0
// Calls from inside: a visitor, a sink or a page source that calls the arena which is calling it.
#include <string_view>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

/// Calls back into an arena, once it is told to which.
class calling_source {
 public:
  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    call();
    return system_.map(bytes, alignment);
  }
  bool unmap(void* p, std::size_t bytes) noexcept {
    call();
    return system_.unmap(p, bytes);
  }
  bool purge(void* p, std::size_t bytes) noexcept {
    call();
    return system_.purge(p, bytes);
  }
  std::size_t purge_rows(const miniheap::page_row* rows, std::size_t count) noexcept {
    call();
    return system_.purge_rows(rows, count);
  }

  template <class Arena>
  void call_from_now_on(Arena& arena) noexcept {
    arena_ = &arena;
    stats_ = [](void* p) noexcept { static_cast<void>(static_cast<Arena*>(p)->stats()); };
  }

 private:
  void call() noexcept {
    if (arena_ != nullptr) stats_(arena_);
  }

  miniheap::mmap_source system_;
  void* arena_ = nullptr;
  void (*stats_)(void*) noexcept = nullptr;
};

template <std::size_t ReserveBytes>
inline constexpr miniheap::arena_config tiny_with_reserve{.miniheap_bytes = 64 * KiB,
                                                          .reserve_ceiling_bytes = ReserveBytes};

template <class Lock, std::size_t ReserveBytes = 0>
struct calling_arena : miniheap::miniheap_arena<calling_source, Lock, miniheap::first_fit, miniheap::fullest_first,
                                                tiny_with_reserve<ReserveBytes>> {
  using base = miniheap::miniheap_arena<calling_source, Lock, miniheap::first_fit, miniheap::fullest_first,
                                        tiny_with_reserve<ReserveBytes>>;
  using base::base;
};

/// In a child, calls `call(arena)` from a visitor of a walk.
template <class Arena, class Call>
void require_reentrant(Call call) {
  require_fault(in_child([&](culprit& named) {
                  ::alarm(20);  // a deadlock is a failure too
                  Arena arena{"inside"};
                  void* const p = arena.allocate(small_bytes);
                  named.arena = &arena;
                  arena.walk([&](const miniheap::allocation_info&) { call(arena, p); });
                }),
                "inside", faults::reentrant);
}

}  // namespace

TEMPLATE_TEST_CASE("a visitor calls the arena", "[misuse]", tiny_arena, locked_arena, default_arena) {
  using arena = TestType;
  require_reentrant<arena>([](arena& a, void* p) { static_cast<void>(a.try_reallocate(p, 10)); });
  require_reentrant<arena>([](arena& a, void*) { static_cast<void>(a.stats()); });
  require_reentrant<arena>([](arena& a, void*) { a.trim(); });
  require_reentrant<arena>([](arena& a, void*) { a.release(); });
  require_reentrant<arena>([](arena& a, void*) { static_cast<void>(a.check()); });
  require_reentrant<arena>([](arena& a, void*) { a.walk([](const miniheap::miniheap_info&) {}); });
}

// The lock would wait for ever, so these are stopped at once.
TEMPLATE_TEST_CASE("a visitor allocates and frees under a lock", "[misuse]", locked_arena, default_arena) {
  using arena = TestType;
  require_reentrant<arena>([](arena& a, void*) { static_cast<void>(a.try_allocate(10)); });
  require_reentrant<arena>([](arena& a, void* p) { a.deallocate(p); });
  require_reentrant<arena>([](arena& a, void* p) { a.deallocate(p, small_bytes); });
}

// Without a lock, a call that changes no more than one slot does no harm; what changes more is stopped.
TEST_CASE("a visitor allocates and frees without a lock", "[misuse]") {
  tiny_arena arena{"inside"};
  void* const p = arena.allocate(small_bytes);
  void* q = nullptr;
  arena.walk([&](const miniheap::miniheap_info&) { q = arena.try_allocate(small_bytes); });
  CHECK(q != nullptr);
  CHECK(arena.check());
  arena.walk([&](const miniheap::miniheap_info&) { arena.deallocate(q, small_bytes); });
  CHECK(arena.check());
  CHECK(arena.stats().allocations == 1);
  arena.deallocate(p);
  require_reentrant<tiny_arena>([](tiny_arena& a, void*) { static_cast<void>(a.try_allocate(10'000)); });
  require_reentrant<tiny_arena>([](tiny_arena& a, void*) { static_cast<void>(a.try_allocate(10)); });  // a new slab
}

TEST_CASE("a sink calls the arena", "[misuse]") {
  for (const auto format : {miniheap::dump_format::text, miniheap::dump_format::json}) {
    require_fault(in_child([&](culprit& named) {
                    ::alarm(20);
                    default_arena arena{"sink"};
                    named.arena = &arena;
                    arena.dump([&](std::string_view) { static_cast<void>(arena.stats()); }, format);
                  }),
                  "sink", faults::reentrant);
  }
}

TEMPLATE_TEST_CASE("a page source calls the arena", "[misuse]", calling_arena<miniheap::no_lock>,
                   calling_arena<miniheap::coarse_lock<>>) {
  using arena = TestType;
  SECTION("when it maps") {
    require_fault(in_child([](culprit& named) {
                    ::alarm(20);
                    arena a{"source"};
                    named.arena = &a;
                    a.source().call_from_now_on(a);
                    static_cast<void>(a.try_allocate(small_bytes));
                  }),
                  "source", faults::reentrant);
  }
  SECTION("when it unmaps") {
    require_fault(in_child([](culprit& named) {
                    ::alarm(20);
                    arena a{"source"};
                    named.arena = &a;
                    void* const p = a.allocate(large_bytes);
                    a.source().call_from_now_on(a);
                    a.deallocate(p);
                  }),
                  "source", faults::reentrant);
  }
  SECTION("when it purges") {
    require_fault(in_child([](culprit& named) {
                    ::alarm(20);
                    arena a{"source"};
                    named.arena = &a;
                    void* const kept = a.allocate(small_bytes);
                    a.deallocate(a.allocate(medium_bytes));
                    a.source().call_from_now_on(a);
                    a.trim();
                    a.deallocate(kept);
                  }),
                  "source", faults::reentrant);
  }
}

TEMPLATE_TEST_CASE("a page source calls the arena when it purges rows of pages", "[misuse]", miniheap::no_lock,
                   miniheap::coarse_lock<>) {
  require_fault(in_child([](culprit& named) {
                  ::alarm(20);
                  calling_arena<TestType, 64 * KiB> a{"source"};
                  named.arena = &a;
                  void* const freed = a.allocate(medium_bytes);
                  void* const kept = a.allocate(medium_bytes);
                  a.deallocate(a.allocate(medium_bytes));
                  a.deallocate(freed);
                  a.source().call_from_now_on(a);
                  a.trim();
                  a.deallocate(kept);
                }),
                "source", faults::reentrant);
}

TEST_CASE("a visitor may use another arena", "[misuse]") {
  default_arena arena{"visited"};
  default_arena other{"other"};
  void* const p = arena.allocate(small_bytes);
  void* q = nullptr;
  arena.walk([&](const miniheap::allocation_info& a) {
    REQUIRE(a.address == p);
    q = other.allocate(a.bytes);
  });
  REQUIRE(q != nullptr);
  other.deallocate(q);
  arena.deallocate(p);  // and after the walk all is as before
}

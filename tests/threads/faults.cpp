// SPDX-License-Identifier: BSL-1.0
// Where threads share the engine, misuse is stopped as elsewhere: on the way that needs the set shared, and on the
// other.
#include "catch.hpp"
#include "misuse/child.hpp"
#include "threads/arenas.hpp"

using namespace threads;

namespace {

/// The reserve keeps a miniheap that a free emptied, so a second free is known for what it is.
struct fine_arena : shared_arena<fine_grained_lock, 64 * KiB, 64 * KiB> {
  using miniheap_arena::miniheap_arena;
};

/// In a child, calls `misdeed(arena, p, named)` with a slot of 48 bytes, of which `count` are allocated.
template <class Misdeed>
void require_stopped(const char* fault, Misdeed misdeed) {
  for (const int count : {1, 5}) {  // the only slot of its slab; one of several
    misuse::require_fault(misuse::in_child([&](misuse::culprit& named) {
                            ::alarm(20);  // a deadlock is a failure too
                            fine_arena arena{"fine"};
                            named.arena = &arena;
                            void* p = nullptr;
                            for (int n = 0; n < count; ++n) p = arena.allocate(48);
                            named.pointer = p;
                            misdeed(arena, p, named);
                          }),
                          "fine", fault);
  }
}

}  // namespace

TEST_CASE("threads: a double free is stopped", "[threads]") {
  require_stopped(misuse::faults::double_free, [](fine_arena& arena, void* p, misuse::culprit&) {
    arena.deallocate(p);
    arena.deallocate(p);
  });
  require_stopped(misuse::faults::double_free, [](fine_arena& arena, void* p, misuse::culprit&) {
    void* const others[] = {arena.allocate(48), arena.allocate(48)};
    arena.deallocate_batch(fine_arena::stock_class(48, 16), &p, 1);
    static_cast<void>(others);
    arena.deallocate_batch(fine_arena::stock_class(48, 16), &p, 1);
  });
  require_stopped(misuse::faults::double_free, [](fine_arena& arena, void* p, misuse::culprit&) {
    static_cast<void>(arena.allocate(48));
    arena.deallocate(p, 48);
    static_cast<void>(arena.usable_size(p));
  });
}

TEST_CASE("threads: other wrong pointers and sizes are stopped", "[threads]") {
  require_stopped(misuse::faults::interior, [](fine_arena& arena, void* p, misuse::culprit& named) {
    named.pointer = static_cast<char*>(p) + 16;
    arena.deallocate(static_cast<char*>(p) + 16);
  });
  require_stopped(misuse::faults::wrong_size,
                  [](fine_arena& arena, void* p, misuse::culprit&) { arena.deallocate(p, 100); });
  require_stopped(misuse::faults::foreign, [](fine_arena& arena, void*, misuse::culprit& named) {
    static char foreign[64];
    named.pointer = foreign;
    arena.deallocate(foreign);
  });
}

TEST_CASE("threads: a visitor that calls the arena is stopped", "[threads]") {
  const auto require_reentrant = [](auto call) {
    require_stopped(misuse::faults::reentrant, [&](fine_arena& arena, void* p, misuse::culprit& named) {
      named.pointer = nullptr;
      arena.walk([&](const miniheap_info&) { call(arena, p); });
    });
  };
  require_reentrant([](fine_arena& arena, void*) { static_cast<void>(arena.try_allocate(10)); });
  require_reentrant([](fine_arena& arena, void* p) { arena.deallocate(p); });
  require_reentrant([](fine_arena& arena, void* p) { arena.deallocate(p, 48); });
  require_reentrant([](fine_arena& arena, void* p) { static_cast<void>(arena.try_reallocate(p, 10)); });
  require_reentrant([](fine_arena& arena, void* p) { static_cast<void>(arena.usable_size(p)); });
  require_reentrant([](fine_arena& arena, void* p) { static_cast<void>(arena.owns(p)); });
  require_reentrant([](fine_arena& arena, void* p) { arena.deallocate_batch(fine_arena::stock_class(48, 16), &p, 1); });
}

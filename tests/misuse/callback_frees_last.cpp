// SPDX-License-Identifier: BSL-1.0
// Without a lock a visitor may free a slot, as long as that changes nothing else: not where a miniheap would go, which
// the walk is in.
#include "arenas.hpp"
#include "child.hpp"

#include <unistd.h>

using namespace misuse;

namespace {

using keeps_nothing =
    miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit, miniheap::fullest_first,
                             miniheap::arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}>;

}  // namespace

TEST_CASE("a visitor frees what keeps a miniheap", "[misuse]") {
  for (const bool is_sized : {false, true}) {
    require_fault(in_child([&](culprit& named) {
                    ::alarm(20);
                    keeps_nothing arena{"last"};
                    void* const p = arena.allocate(small_bytes);
                    named.arena = &arena;
                    arena.walk([&](const miniheap::miniheap_info&) {
                      is_sized ? arena.deallocate(p, small_bytes) : arena.deallocate(p);
                    });
                  }),
                  "last", faults::reentrant);
  }
}

TEST_CASE("a visitor frees a slot of an active slab, by whatever call", "[misuse]") {
  keeps_nothing arena{"other"};
  void* const kept = arena.allocate(10'000);  // without it all that is used would be active slabs, which may have to go
  void* const p = arena.allocate(small_bytes);
  void* const q = arena.allocate(small_bytes);
  arena.walk([&](const miniheap::miniheap_info&) {
    arena.deallocate(p);
    arena.deallocate(q, small_bytes);
  });
  CHECK(arena.check());
  CHECK(arena.stats().allocations == 1);
  arena.deallocate(kept);
  arena.trim();
  CHECK(arena.stats().miniheaps == 0);
}

// SPDX-License-Identifier: BSL-1.0
// A slot that the active slab has claimed is free, though the slab's bitmap says otherwise.
#include <miniheap/thread_cache.hpp>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

TEMPLATE_TEST_CASE("a slot that is next to be handed out is freed", "[misuse]", tiny_arena, locked_arena,
                   default_arena) {
  for (const bool is_sized : {false, true}) {
    require_fault(in_child([&](culprit& named) {
                    TestType arena{"claimed"};
                    void* const first = arena.allocate(small_bytes);
                    void* const next = at_offset(first, small_bytes);  // what the next allocation would give
                    named = {&arena, next};
                    is_sized ? arena.deallocate(unsuspected(next), small_bytes) : arena.deallocate(unsuspected(next));
                  }),
                  "claimed", faults::double_free);
  }
}

TEST_CASE("double free of a slot that was claimed again meanwhile", "[misuse]") {
  require_fault(in_child([&](culprit& named) {
                  tiny_arena arena{"claimed"};
                  void* slots[64];  // as many as are claimed at once
                  for (void*& p : slots) p = arena.allocate(16);
                  static_cast<void>(arena.allocate(16));  // is of the next 64
                  arena.deallocate(slots[3]);
                  arena.deallocate(slots[5]);
                  for (int n = 0; n < 63; ++n) static_cast<void>(arena.allocate(16));
                  if (arena.allocate(16) != slots[3]) return;  // claims the first 64 again, so slots[5] is claimed, too
                  named = {&arena, slots[5]};
                  arena.deallocate(unsuspected(slots[5]));
                }),
                "claimed", faults::double_free);
}

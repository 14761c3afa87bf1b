// SPDX-License-Identifier: BSL-1.0
// What is freed twice: at once, later, and after its neighbours; small, medium and large.
#include <initializer_list>
#include <vector>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

TEMPLATE_TEST_CASE("double free at once", "[misuse]", tiny_arena, locked_arena, default_arena) {
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{16}, small_bytes, std::size_t{1000}, 8 * KiB, medium_bytes}) {
    INFO(bytes << " bytes");
    require_fault(in_child([&](culprit& named) {
                    TestType arena{"twice"};
                    void* const anchor = arena.allocate(40);  // keeps the miniheap
                    void* const p = arena.allocate(bytes);
                    named = {&arena, p};
                    arena.deallocate(p);
                    arena.deallocate(p);
                    arena.deallocate(anchor);
                  }),
                  "twice", faults::double_free);
  }
}

// When an allocation floats into a slab that has free slots, that becomes the active one, whose slots are given back
// without a look at the page map.
TEST_CASE("double free of a free slot of the active slab", "[misuse]") {
  using arena_type =
      miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit, miniheap::fullest_first,
                               miniheap::arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}>;
  constexpr std::size_t bytes = 1024;  // 4 slots make a slab
  require_fault(in_child([&](culprit& named) {
                  arena_type arena{"active"};
                  void* full[4];
                  for (void*& p : full) p = arena.allocate(bytes);
                  static_cast<void>(arena.allocate(8 * 4096));  // with this one, no page of the miniheap is free
                  static_cast<void>(arena.allocate(6 * 4096));
                  void* const sparse = arena.allocate(bytes);
                  static_cast<void>(arena.allocate(bytes));  // keeps the other miniheap from becoming empty
                  arena.deallocate(full[0]);
                  arena.deallocate(full[1]);
                  if (arena.reallocate(sparse, bytes) != full[0]) return;
                  named = {&arena, full[1]};
                  arena.deallocate(full[1], bytes);
                }),
                "active", faults::double_free);
}

TEMPLATE_TEST_CASE("double free in each state of a slab", "[misuse]", tiny_arena, default_arena) {
  // 85 slots of 48 bytes make a slab: two are full, the third one is allocated from. Frees before the double one take a
  // slab through its states: full, full but for a slot that waits to be taken again, partly used.
  constexpr std::size_t slots = 85;
  const std::vector<std::vector<std::size_t>> freed_before = {{}, {10}, {10, 20}, {10, 20, 30, 100}, {180, 190}};
  const std::size_t victims[] = {0, 10, 20, slots - 1, slots, 2 * slots + 3, 180, 199};
  const auto require_noticed = [&](auto free_one, auto free_again) {
    for (const auto& before : freed_before) {
      for (const std::size_t victim : victims) {
        INFO("number " << victim << ", after " << before.size() << " others");
        require_fault(in_child([&](culprit& named) {
                        TestType arena{"states"};
                        std::vector<void*> all;
                        for (int i = 0; i < 200; ++i) all.push_back(arena.allocate(small_bytes));
                        bool is_free = false;
                        for (const std::size_t i : before) {
                          free_one(arena, all[i]);
                          is_free = is_free || i == victim;
                        }
                        named = {&arena, all[victim]};
                        if (!is_free) free_one(arena, all[victim]);
                        free_again(arena, all[victim]);
                      }),
                      "states", faults::double_free);
      }
    }
  };
  const volatile std::size_t bytes = small_bytes;
  const auto plain = [](TestType& arena, void* p) { arena.deallocate(p); };
  const auto constant = [](TestType& arena, void* p) { arena.deallocate(p, small_bytes); };
  const auto variable = [&](TestType& arena, void* p) { arena.deallocate(p, bytes); };

  SECTION("without a size") { require_noticed(plain, plain); }
  SECTION("with a size that the compiler knows") { require_noticed(constant, constant); }
  SECTION("with one that it does not know") { require_noticed(variable, variable); }
  SECTION("first with a size, then without") { require_noticed(constant, plain); }
  SECTION("first without a size, then with one") { require_noticed(plain, constant); }
}

TEMPLATE_TEST_CASE("double free by sized calls", "[misuse]", tiny_arena, default_arena) {
  for (const std::size_t bytes : {std::size_t{1}, small_bytes, 8 * KiB, medium_bytes}) {
    INFO(bytes << " bytes");
    require_fault(in_child([&](culprit& named) {
                    TestType arena{"twice, sized"};
                    void* const kept = arena.allocate(bytes);  // so that pages and slabs stay what they are
                    void* const p = arena.allocate(bytes);
                    named = {&arena, p};
                    arena.deallocate(p, bytes);
                    arena.deallocate(p, bytes);
                    arena.deallocate(kept, bytes);
                  }),
                  "twice, sized", faults::double_free);
  }
}

TEMPLATE_TEST_CASE("double free much later", "[misuse]", tiny_arena, locked_arena, default_arena) {
  for (const std::size_t bytes : {small_bytes, medium_bytes}) {
    INFO(bytes << " bytes");
    require_fault(in_child([&](culprit& named) {
                    TestType arena{"later"};
                    std::vector<void*> others;
                    for (int i = 0; i < 3; ++i) others.push_back(arena.allocate(bytes));
                    void* const p = arena.allocate(bytes);
                    for (int i = 0; i < 3; ++i) others.push_back(arena.allocate(bytes));
                    arena.deallocate(p);
                    // Life goes on in other sizes, and all of it ends; nothing takes p's place.
                    for (int i = 0; i < 500; ++i)
                      others.push_back(arena.allocate(200 + 16 * static_cast<std::size_t>(i % 20)));
                    for (std::size_t i = 6; i < others.size(); ++i) arena.deallocate(others[i]);
                    named = {&arena, p};
                    arena.deallocate(p);
                  }),
                  "later", faults::double_free);
  }
}

TEMPLATE_TEST_CASE("double free after its neighbours were freed too", "[misuse]", tiny_arena, locked_arena,
                   default_arena) {
  for (const std::size_t bytes : {small_bytes, 3 * KiB, 12 * KiB}) {
    for (const std::size_t which : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
      INFO(bytes << " bytes, number " << which);
      require_fault(in_child([&](culprit& named) {
                      TestType arena{"neighbours"};
                      void* const anchor = arena.allocate(40);  // keeps the miniheap
                      void* const p[] = {arena.allocate(bytes), arena.allocate(bytes), arena.allocate(bytes)};
                      for (void* const each : p) arena.deallocate(each);
                      named = {&arena, p[which]};
                      arena.deallocate(p[which]);  // in a free span by now, or in an empty slab
                      arena.deallocate(anchor);
                    }),
                    "neighbours", faults::double_free);
    }
  }
}

TEMPLATE_TEST_CASE("double free of what is not even mapped any more", "[misuse]", tiny_arena, locked_arena,
                   default_arena) {
  require_fault(in_child([](culprit& named) {
                  TestType arena{"large"};
                  void* const p = arena.allocate(large_bytes);
                  named = {&arena, p};
                  arena.deallocate(p);
                  arena.deallocate(p);
                }),
                "large", faults::foreign);
  require_fault(in_child([](culprit& named) {
                  TestType arena{"trimmed"};
                  void* const p = arena.allocate(small_bytes);
                  named = {&arena, p};
                  arena.deallocate(p);
                  arena.trim();
                  arena.deallocate(p);
                }),
                "trimmed", faults::foreign);
  require_fault(in_child([](culprit& named) {
                  TestType arena{"released"};
                  void* const p = arena.allocate(small_bytes);
                  named = {&arena, p};
                  arena.release();
                  arena.deallocate(p);
                }),
                "released", faults::foreign);
}

TEST_CASE("a freed pointer is refused by reallocate and usable_size too", "[misuse]") {
  require_fault(in_child([](culprit& named) {
                  tiny_arena arena{"reallocate"};
                  void* const kept = arena.allocate(small_bytes);
                  void* const p = arena.allocate(small_bytes);
                  named = {&arena, p};
                  arena.deallocate(p);
                  void* const q = arena.reallocate(p, 100);
                  arena.deallocate(q);
                  arena.deallocate(kept);
                }),
                "reallocate", faults::double_free);
  require_fault(in_child([](culprit& named) {
                  tiny_arena arena{"usable_size"};
                  void* const kept = arena.allocate(small_bytes);
                  void* const p = arena.allocate(small_bytes);
                  named = {&arena, p};
                  arena.deallocate(p);
                  if (arena.usable_size(p) != 0) ::_exit(3);
                  arena.deallocate(kept);
                }),
                "usable_size", faults::double_free);
}

TEST_CASE("an allocator's double free is the arena's", "[misuse]") {
  require_fault(in_child([](culprit& named) {
                  tiny_arena arena{"allocator"};
                  miniheap::miniheap_allocator<long, tiny_arena> allocator(arena);
                  long* const kept = allocator.allocate(10);
                  long* const p = allocator.allocate(10);
                  named = {&arena, p};
                  allocator.deallocate(p, 10);
                  allocator.deallocate(p, 10);
                  allocator.deallocate(kept, 10);
                }),
                "allocator", faults::double_free);
}

TEST_CASE("correct use is not reported", "[misuse]") {
  const auto how = in_child([](culprit&) {
    tiny_arena arena{"innocent"};
    for (const std::size_t bytes : {small_bytes, medium_bytes, large_bytes}) {
      void* const p = arena.allocate(bytes);
      arena.deallocate(p);
      void* const q = arena.allocate(bytes);  // perhaps at the same place: freeing it is no double free
      arena.deallocate(q, bytes);
    }
  });
  REQUIRE(how.signal == 0);
  REQUIRE(how.exit_code == 0);
  REQUIRE(how.text.empty());
}

TEST_CASE("double free and interior pointers among neighbours in a batch", "[misuse]") {
  constexpr std::uint32_t c = default_arena::stock_class(48, 16);
  constexpr std::size_t slots = 85;
  // Slots 0 and 1 are free, 2 to 20 lie in the batch once.
  const auto require_noticed = [&](std::size_t victim, std::size_t place, bool is_interior, bool is_active) {
    INFO("slot " << victim << " at place " << place << (is_interior ? ", interior" : "")
                 << (is_active ? ", of the active slab" : ""));
    require_fault(in_child([&](culprit& named) {
                    default_arena arena{"batch"};
                    std::vector<std::byte*> all(slots);
                    for (auto& p : all) p = static_cast<std::byte*>(arena.allocate(48));
                    if (!is_active) static_cast<void>(arena.allocate(48));  // from another slab
                    arena.deallocate(all[0]);
                    arena.deallocate(all[1]);
                    std::vector<void*> batch(all.begin() + 2, all.begin() + 21);
                    std::byte* const wrong = all[victim] + (is_interior ? 16 : 0);
                    batch.insert(batch.begin() + static_cast<std::ptrdiff_t>(place), wrong);
                    named = {&arena, wrong};
                    arena.deallocate_batch(c, batch.data(), static_cast<std::uint32_t>(batch.size()));
                  }),
                  "batch", is_interior ? faults::interior : faults::double_free);
  };
  for (const std::size_t victim : {0u, 1u, 2u, 9u, 20u}) {
    for (const std::size_t place : {3u, 12u, 19u}) {
      if (victim >= 2 && victim - 2 >= place) continue;  // it comes first here, and its own turn later
      for (const bool is_interior : {false, true}) {
        for (const bool is_active : {false, true}) require_noticed(victim, place, is_interior, is_active);
      }
    }
  }
}

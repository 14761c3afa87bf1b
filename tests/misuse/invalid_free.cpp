// SPDX-License-Identifier: BSL-1.0
// Pointers that are not allocations: foreign ones, and ones into the middle of something.
#include <cstdint>
#include <memory>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

alignas(64) char global_buffer[256];

/// The child frees what `find(arena)` returns; there is one live small and one live medium allocation.
template <class Arena, class Find>
ending free_what(Find find) {
  return in_child([&](culprit& named) {
    Arena arena{"invalid"};
    void* const small = arena.allocate(small_bytes);
    void* const medium = arena.allocate(medium_bytes);
    void* const wrong = unsuspected(find(arena));
    named = {&arena, wrong};
    arena.deallocate(wrong);
    arena.deallocate(small);
    arena.deallocate(medium);
  });
}

template <class Arena>
void* miniheap_of(Arena&, void* p) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(p) & ~(Arena::config.miniheap_bytes - 1));
}

}  // namespace

TEMPLATE_TEST_CASE("pointers of nobody or of somebody else", "[misuse]", tiny_arena, locked_arena, default_arena) {
  using arena = TestType;
  const auto require_foreign = [](const ending& how) { require_fault(how, "invalid", faults::foreign); };

  SECTION("the stack") {
    alignas(16) char local[64] = {};
    require_foreign(free_what<arena>([&](arena&) { return local + 16; }));
    require_foreign(free_what<arena>([&](arena&) { return local + 3; }));
  }
  SECTION("a global variable") {
    require_foreign(free_what<arena>([](arena&) { return global_buffer; }));
  }
  SECTION("operator new") {
    const auto p = std::make_unique<char[]>(100);
    require_foreign(free_what<arena>([&](arena&) { return p.get(); }));
  }
  SECTION("the arena itself") {
    require_foreign(free_what<arena>([](arena& self) { return &self; }));
  }
  SECTION("numbers that are no addresses, one of them aligned like a large allocation") {
    for (const std::uintptr_t number : {std::uintptr_t{16}, std::uintptr_t{0x12345}, std::uintptr_t{1} << 40,
                                        ~std::uintptr_t{0}, ~std::uintptr_t{0} << 40}) {
      require_foreign(free_what<arena>([&](arena&) { return reinterpret_cast<char*>(number); }));
    }
  }
  SECTION("another arena") {
    arena other{"other"};
    for (const std::size_t bytes : {small_bytes, medium_bytes, large_bytes}) {
      void* const p = other.allocate(bytes);
      require_foreign(free_what<arena>([&](arena&) { return p; }));
      other.deallocate(p);
    }
  }
  SECTION("given to an arena that has nothing") {
    require_fault(in_child([](culprit& named) {
                    arena empty{"empty"};
                    named = {&empty, global_buffer};
                    empty.deallocate(unsuspected(&global_buffer[0]));
                  }),
                  "empty", faults::foreign);
  }
  SECTION("by a sized call") {
    for (const std::size_t bytes : {small_bytes, medium_bytes, large_bytes}) {
      require_fault(in_child([&](culprit& named) {
                      arena one{"sized"};
                      void* const p = one.allocate(bytes);
                      named = {&one, global_buffer};
                      one.deallocate(unsuspected(&global_buffer[0]), bytes);
                      one.deallocate(p);
                    }),
                    "sized", faults::foreign);
    }
  }
  SECTION("given to reallocate") {
    require_fault(in_child([](culprit& named) {
                    arena one{"reallocate"};
                    void* const p = one.allocate(small_bytes);
                    named = {&one, global_buffer};
                    void* const q = one.reallocate(unsuspected(&global_buffer[0]), 10);
                    one.deallocate(q == nullptr ? q : p);
                  }),
                  "reallocate", faults::foreign);
  }
}

TEMPLATE_TEST_CASE("pointers into the middle of an allocation", "[misuse]", tiny_arena, locked_arena, default_arena) {
  for (const std::size_t bytes :
       {std::size_t{16}, small_bytes, std::size_t{1000}, 8 * KiB, medium_bytes, large_bytes}) {
    for (const std::size_t offset :
         {std::size_t{1}, std::size_t{8}, std::size_t{15}, std::size_t{16}, 4 * KiB, 64 * KiB, 4 * MiB, 4 * MiB + 16}) {
      if (offset >= bytes) continue;
      INFO(bytes << " bytes, at " << offset);
      require_fault(in_child([&](culprit& named) {
                      TestType arena{"interior"};
                      void* const p = arena.allocate(bytes);
                      named = {&arena, at_offset(p, offset)};
                      arena.deallocate(at_offset(p, offset));
                      arena.deallocate(p);
                    }),
                    "interior", faults::interior);
    }
  }
}

TEMPLATE_TEST_CASE("... by a sized call of the right size", "[misuse]", tiny_arena, default_arena) {
  for (const std::size_t bytes : {small_bytes, medium_bytes, large_bytes}) {
    INFO(bytes << " bytes");
    require_fault(in_child([&](culprit& named) {
                    TestType arena{"interior"};
                    void* const p = arena.allocate(bytes);
                    named = {&arena, at_offset(p, 16)};
                    arena.deallocate(at_offset(p, 16), bytes);
                    arena.deallocate(p);
                  }),
                  "interior", faults::interior);
  }
  require_fault(in_child([](culprit& named) {  // of a size that the compiler knows
                  TestType arena{"interior"};
                  void* const p = arena.allocate(small_bytes);
                  named = {&arena, at_offset(p, 16)};
                  arena.deallocate(at_offset(p, 16), small_bytes);
                  arena.deallocate(p);
                }),
                "interior", faults::interior);
}

TEMPLATE_TEST_CASE("pointers into the head of a miniheap", "[misuse]", tiny_arena, locked_arena, default_arena) {
  using arena = TestType;
  for (const std::size_t offset : {std::size_t{0}, std::size_t{8}, std::size_t{64}, std::size_t{640}}) {
    INFO("offset " << offset);
    const auto how = in_child([&](culprit& named) {
      arena one{"head"};
      void* const p = one.allocate(small_bytes);
      void* const head = at_offset(miniheap_of(one, p), offset);
      named = {&one, head};
      one.deallocate(head);
      one.deallocate(p);
    });
    require_fault(how, "head", faults::interior);
  }
}

TEST_CASE("the tail of a slab, behind its last slot", "[misuse]") {
  require_fault(in_child([](culprit& named) {
                  tiny_arena arena{"tail"};
                  void* const p = arena.allocate(small_bytes);
                  // 4096 = 85 * 48 + 16: the last 16 bytes of the page hold no slot.
                  auto* const tail =
                      reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(p) | 4095) + 1 - 16);
                  named = {&arena, tail};
                  arena.deallocate(tail);
                  arena.deallocate(p);
                }),
                "tail", faults::interior);
}

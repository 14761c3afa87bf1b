// SPDX-License-Identifier: BSL-1.0
// Sized frees: sizes that cannot be, and all those that the standard allows.
#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

template <class Arena>
ending free_as(std::size_t real_bytes, std::size_t said_bytes) {
  return in_child([&](culprit& named) {
    Arena arena{"sizes"};
    void* const p = arena.allocate(real_bytes);
    named = {&arena, p};
    arena.deallocate(p, said_bytes);
  });
}

}  // namespace

TEMPLATE_TEST_CASE("sized free of another size", "[misuse]", tiny_arena, locked_arena, default_arena) {
  const struct {
    std::size_t real_bytes, said_bytes;
  } cases[] = {
      {small_bytes, small_bytes + 1},    // the next size class
      {small_bytes, 16},                 // one below
      {small_bytes, medium_bytes},       // of another kind
      {small_bytes, large_bytes},        //
      {8 * KiB, 8 * KiB + 1},            // from the largest slot to the smallest span
      {medium_bytes, small_bytes},       //
      {medium_bytes, medium_bytes + 1},  // one page more
      {medium_bytes, medium_bytes / 2},  //
      {medium_bytes, large_bytes},       //
      {large_bytes, small_bytes},        //
      {large_bytes, medium_bytes},       //
      {large_bytes, large_bytes + 1},    // one page more
      {large_bytes, large_bytes - 5 * KiB},
      {large_bytes, static_cast<std::size_t>(-1)},
  };
  for (const auto& c : cases) {
    INFO(c.real_bytes << " bytes, said to be " << c.said_bytes);
    require_fault(free_as<TestType>(c.real_bytes, c.said_bytes), "sizes", faults::wrong_size);
  }
}

TEMPLATE_TEST_CASE("sized free of another size that the compiler knows", "[misuse]", tiny_arena, default_arena) {
  const auto require_noticed = [](auto free_wrongly) {
    require_fault(in_child([&](culprit& named) {
                    TestType arena{"sizes"};
                    void* const p = arena.allocate(small_bytes);
                    void* const others[] = {arena.allocate(16), arena.allocate(100), arena.allocate(medium_bytes)};
                    named = {&arena, p};
                    free_wrongly(arena, p);
                    for (void* const other : others) arena.deallocate(other);
                  }),
                  "sizes", faults::wrong_size);
  };
  require_noticed([](TestType& arena, void* p) { arena.deallocate(p, 16); });
  require_noticed([](TestType& arena, void* p) { arena.deallocate(p, 100); });
  require_noticed([](TestType& arena, void* p) { arena.deallocate(p, medium_bytes); });
}

TEMPLATE_TEST_CASE("sized free of any size from the requested to the usable", "[misuse]", tiny_arena, locked_arena,
                   default_arena) {
  TestType arena{"sizes"};
  for (std::size_t bytes = 1; bytes <= 4 * MiB; bytes = bytes * 5 / 4 + 1) {
    for (const std::size_t alignment : {std::size_t{1}, std::size_t{16}, std::size_t{64}, 4 * KiB, 16 * KiB}) {
      for (int which = 0; which < 3; ++which) {
        INFO(bytes << " bytes, alignment " << alignment);
        const auto got = arena.allocate_at_least(bytes, alignment);
        REQUIRE(got.bytes >= bytes);
        REQUIRE(got.bytes <= arena.usable_size(got.ptr));
        const std::size_t sizes[] = {bytes, got.bytes, (bytes + got.bytes) / 2};
        arena.deallocate(got.ptr, sizes[which], alignment);
      }
    }
  }
  REQUIRE(arena.stats().allocations == 0);
  REQUIRE(static_cast<bool>(arena.check()));
}

// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstring>
#include <vector>

#include <miniheap/detail/engine.hpp>
#include <miniheap/miniheap.hpp>

#include "catch.hpp"

using namespace miniheap;

namespace {

using small_arena = miniheap_arena<mmap_source, no_lock, first_fit, fullest_first,
                                   arena_config{.miniheap_bytes = 1 * MiB, .reserve_ceiling_bytes = 1 * MiB}>;

/// An address that is a multiple of `alignment`, but not of twice as much.
bool is_just_aligned(const void* p, std::size_t alignment) noexcept {
  return reinterpret_cast<std::uintptr_t>(p) % (2 * alignment) == alignment;
}

}  // namespace

TEST_CASE("engine: reallocation aligns what stays as long as it was", "[engine]") {
  for (const std::size_t bytes : {20 * KiB, 100 * KiB, 1 * MiB}) {
    for (const std::size_t alignment : {8 * KiB, 64 * KiB}) {
      INFO(bytes << " bytes at " << alignment);
      small_arena arena{"aligned"};
      void* p = arena.allocate(bytes);
      for (int n = 0; n < 100 && !is_just_aligned(p, detail::page_bytes); ++n) p = arena.allocate(bytes);
      std::memset(p, 0x5a, bytes);
      void* const q = arena.reallocate(p, bytes, alignment);
      CHECK(reinterpret_cast<std::uintptr_t>(q) % alignment == 0);
      CHECK(static_cast<unsigned char*>(q)[bytes - 1] == 0x5a);
      CHECK(arena.check());
    }
  }
}

TEST_CASE("engine: zeroed memory is zero wherever it comes from", "[engine]") {
  const std::size_t lengths[] = {48, 8 * KiB, 20 * KiB, 100 * KiB, 600 * KiB, 700 * KiB, 3 * MiB};
  miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, arena_config{.reserve_floor_bytes = 32 * MiB}> arena;
  for (const std::size_t used_bytes : lengths) {
    for (const std::size_t bytes : lengths) {
      INFO(bytes << " bytes after " << used_bytes);
      void* const used = arena.allocate(used_bytes);
      std::memset(used, 0xff, used_bytes);
      arena.deallocate(used);  // it stays in reserve
      auto* const p = static_cast<unsigned char*>(arena.try_allocate_zeroed(bytes));
      REQUIRE(p != nullptr);
      CHECK(std::all_of(p, p + bytes, [](unsigned char byte) { return byte == 0; }));
      std::memset(p, 0xff, bytes);
      arena.deallocate(p);
    }
  }
}

TEST_CASE("engine: trim tries again what could not be unmapped, and leaves nothing", "[engine]") {
  miniheap_arena<failing_source<>, no_lock, first_fit, fullest_first,
                 arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}>
      arena{"again"};
  std::vector<void*> all;
  for (int n = 0; n < 100; ++n) all.push_back(arena.allocate(7000));
  arena.source().fail_one_in(1, 1);
  for (void* const p : all) arena.deallocate(p);
  CHECK(arena.stats().miniheaps > 1);
  CHECK(arena.stats().allocations == 0);
  arena.source().never_fail();
  CHECK(arena.trim(1) == 0);  // a target: they wait
  CHECK(arena.trim() > 0);
  CHECK(arena.mapped_bytes() == 0);
  CHECK(arena.check());
}

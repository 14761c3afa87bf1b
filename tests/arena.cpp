// SPDX-License-Identifier: BSL-1.0
// The calls of an arena one by one, at the edges of what may be asked for.
#include <miniheap/arena.hpp>

#include "catch.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

using namespace miniheap;

namespace {

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0};
using tiny_arena = miniheap_arena<counting_source<>, no_lock, first_fit, fullest_first, tiny>;

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

/// One size of each route, and those at their borders.
constexpr std::size_t some_sizes[] = {1,    15,   16,   17,    64,    65,    500,   1024,  4096,
                                      8191, 8192, 8193, 20000, 32768, 32769, 65536, 300000};

bool is_valid(const tiny_arena& arena) {
  const check_result result = arena.check();
  UNSCOPED_INFO((result ? "" : result.broken));
  return static_cast<bool>(result);
}

}  // namespace

TEST_CASE("arena: maps nothing before it is asked for something, and nothing is left", "[arena]") {
  tiny_arena arena{"mine"};
  CHECK(arena.source().counts().map_calls == 0);
  CHECK(arena.name() == std::string{"mine"});
  CHECK(arena.stats().mapped_bytes == 0);
  CHECK(is_valid(arena));
  arena.deallocate(arena.allocate(1));
  CHECK(arena.stats().miniheaps == 0);
  STATIC_REQUIRE(!std::is_copy_constructible_v<tiny_arena>);
  STATIC_REQUIRE(!std::is_move_constructible_v<tiny_arena>);
  STATIC_REQUIRE(!std::is_move_assignable_v<tiny_arena>);
}

TEST_CASE("arena: no bytes at any alignment are an allocation like another", "[arena]") {
  tiny_arena arena;
  std::set<void*> all;
  for (std::size_t alignment = 1; alignment <= 256 * KiB; alignment *= 2) {
    for (int n = 0; n < 3; ++n) {
      void* const p = arena.allocate(0, alignment);
      REQUIRE(p != nullptr);
      CHECK(address(p) % alignment == 0);
      CHECK(all.insert(p).second);
      CHECK(arena.usable_size(p) > 0);
      std::memset(p, 1, arena.usable_size(p));
      const sized_pointer q = arena.allocate_at_least(0, alignment);
      CHECK(all.insert(q.ptr).second);
      CHECK(q.bytes == arena.usable_size(q.ptr));
      void* const r = arena.reallocate(arena.allocate(0, alignment), 0, alignment);
      CHECK(address(r) % alignment == 0);
      CHECK(all.insert(r).second);
      arena.deallocate(r, 0, alignment);
      all.erase(r);
    }
    REQUIRE(is_valid(arena));
  }
  CHECK(arena.stats().allocations == all.size());
  for (void* const p : all) arena.deallocate(p);
  CHECK(arena.stats().mapped_bytes == arena.stats().metadata_bytes);
}

TEST_CASE("arena: aligned requests, up to the size of a miniheap and above", "[arena]") {
  tiny_arena arena;
  for (std::size_t alignment = 1; alignment <= 1 * MiB; alignment *= 2) {
    for (const std::size_t bytes : some_sizes) {
      std::byte* const first = static_cast<std::byte*>(arena.allocate(bytes, alignment));
      std::byte* const second = static_cast<std::byte*>(arena.allocate(bytes, alignment));
      if (address(first) % alignment != 0 || address(second) % alignment != 0) FAIL(bytes << " at " << alignment);
      std::memset(first, 1, arena.usable_size(first));
      std::memset(second, 2, arena.usable_size(second));
      if (first[0] != std::byte{1} || first[arena.usable_size(first) - 1] != std::byte{1})
        FAIL(bytes << " at " << alignment);
      if (alignment < 1024) REQUIRE(is_valid(arena));
      arena.deallocate(first, bytes, alignment);
      arena.deallocate(second, arena.usable_size(second), alignment);
      if (arena.stats().allocations != 0) FAIL(bytes << " at " << alignment);
    }
  }
}

TEST_CASE("arena: impossible requests change nothing", "[arena]") {
  tiny_arena arena;
  void* const p = arena.allocate(100);
  const arena_stats before = arena.stats();
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, SIZE_MAX / 2 + 1, std::size_t{1} << 60}) {
    for (const std::size_t alignment : {1u, 16u, 4096u, 65536u, 1u << 31}) {
      CHECK(arena.try_allocate(bytes, alignment) == nullptr);
      CHECK_THROWS_AS(arena.allocate(bytes, alignment), std::bad_alloc);
      CHECK_THROWS_AS(arena.allocate_at_least(bytes, alignment), std::bad_alloc);
      CHECK(arena.try_reallocate(p, bytes, alignment) == nullptr);
      CHECK_THROWS_AS(arena.reallocate(p, bytes, alignment), std::bad_alloc);
    }
  }
  for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{48}, SIZE_MAX}) {
    CHECK(arena.try_allocate(10, alignment) == nullptr);
    CHECK_THROWS_AS(arena.allocate(10, alignment), std::bad_alloc);
    CHECK(arena.try_reallocate(p, 10, alignment) == nullptr);
  }
  CHECK(arena.try_allocate(1, std::size_t{1} << 63) == nullptr);
  const arena_stats after = arena.stats();
  CHECK(after.mapped_bytes - after.metadata_bytes == before.mapped_bytes - before.metadata_bytes);
  CHECK(after.allocations == 1);
  CHECK(arena.usable_size(p) == 112);
  CHECK(is_valid(arena));
}

TEST_CASE("arena: sized frees take anything from what was asked for to what may be used", "[arena]") {
  tiny_arena arena;
  for (const std::size_t alignment : {1u, 16u, 64u, 4096u, 8192u, 65536u}) {
    for (const std::size_t bytes : some_sizes) {
      const std::size_t usable_bytes = [&] {
        void* const p = arena.allocate(bytes, alignment);
        const std::size_t usable = arena.usable_size(p);
        arena.deallocate(p);
        return usable;
      }();
      for (const std::size_t said : {bytes, bytes + (usable_bytes - bytes) / 2, usable_bytes - 1, usable_bytes}) {
        if (said < bytes) continue;
        arena.deallocate(arena.allocate(bytes, alignment), said, alignment);
      }
      REQUIRE(arena.stats().allocations == 0);
    }
  }
  CHECK(is_valid(arena));
}

TEST_CASE("arena: reallocation keeps contents between any two sizes", "[arena]") {
  tiny_arena arena;
  for (const std::size_t from : some_sizes) {
    for (const std::size_t to : some_sizes) {
      auto* const p = static_cast<unsigned char*>(arena.allocate(from));
      for (std::size_t i = 0; i < from; ++i) p[i] = static_cast<unsigned char>(i * 7);
      auto* const q = static_cast<unsigned char*>(arena.reallocate(p, to));
      bool is_same = true;
      for (std::size_t i = 0; i < std::min(from, to); ++i)
        is_same = is_same && q[i] == static_cast<unsigned char>(i * 7);
      if (!is_same || arena.usable_size(q) < to) FAIL(from << " to " << to);
      arena.deallocate(q, to);
    }
  }
  CHECK(arena.stats().allocations == 0);
  CHECK(is_valid(arena));
  void* const p = arena.reallocate(nullptr, 100);
  CHECK(arena.usable_size(p) == 112);
}

TEST_CASE("arena: medium allocations grow and shrink where they are, if there is room", "[arena]") {
  tiny_arena arena;
  void* const p = arena.allocate(12 * KiB);
  CHECK(arena.reallocate(p, 32 * KiB) == p);
  CHECK(arena.reallocate(p, 9 * KiB) == p);
  CHECK(arena.usable_size(p) == 12 * KiB);
  void* const aligned = arena.allocate(1, 8 * KiB);
  CHECK(arena.reallocate(aligned, 0, 8 * KiB) == aligned);
  CHECK(arena.usable_size(aligned) == 4 * KiB);
  arena.deallocate(aligned);
  void* const behind = arena.allocate(12 * KiB);
  CHECK(address(behind) == address(p) + 12 * KiB);
  CHECK(arena.reallocate(p, 16 * KiB) != p);
  CHECK(is_valid(arena));
}

TEST_CASE("arena: owns its pages, and nothing else", "[arena]") {
  tiny_arena arena;
  tiny_arena other;
  int local = 0;
  auto* const small = static_cast<std::byte*>(arena.allocate(48));
  auto* const large = static_cast<std::byte*>(arena.allocate(100000));
  CHECK(arena.owns(small));
  CHECK(arena.owns(small + 47));
  CHECK(arena.owns(large));
  CHECK(arena.owns(large + 100000));                                                           // of the last page
  CHECK(!arena.owns(reinterpret_cast<std::byte*>(address(small) / (64 * KiB) * (64 * KiB))));  // the head
  CHECK(!arena.owns(nullptr));
  CHECK(!arena.owns(&local));
  CHECK(!arena.owns(&arena));
  CHECK(!other.owns(small));
  CHECK(!other.owns(large));
  arena.deallocate(large);
  CHECK(!arena.owns(large));
  arena.deallocate(small);
  CHECK(!arena.owns(small));
}

TEST_CASE("arena: release leaves it as new", "[arena]") {
  tiny_arena arena;
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t bytes : some_sizes) {
      for (int n = 0; n < 20; ++n) std::memset(arena.allocate(bytes), 0xaa, bytes);
    }
    arena.release();
    CHECK(arena.source().counts().mapped_bytes == 0);
    CHECK(arena.stats().mapped_bytes == 0);
    CHECK(arena.stats().allocations == 0);
    CHECK(is_valid(arena));
  }
}

TEST_CASE("arena: a program may give its source a state of its own", "[arena]") {
  const std::size_t buffer_bytes = 1 * MiB;
  const std::unique_ptr<std::byte[]> buffer{new std::byte[buffer_bytes]};
  miniheap_arena<buffer_source, no_lock, best_fit, lowest_address_first, tiny> arena{
      buffer_source{buffer.get(), buffer_bytes}, "buffer"};
  std::vector<void*> all;
  while (void* const p = arena.try_allocate(1000)) {
    CHECK(address(p) >= address(buffer.get()));
    CHECK(address(p) + 1000 <= address(buffer.get()) + buffer_bytes);
    all.push_back(p);
  }
  CHECK(all.size() > 700);
  for (void* const p : all) arena.deallocate(p);
  CHECK(arena.check());
  CHECK(arena.stats().miniheaps == 0);
}

TEST_CASE("arena: a large allocation that cannot grow where it is leaves the reserve as it is", "[arena]") {
  constexpr arena_config keeping{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 512 * KiB};
  constexpr std::size_t buffer_bytes = 2 * MiB;
  const auto buffer = std::make_unique<std::byte[]>(buffer_bytes);
  using source = counting_source<buffer_source>;
  miniheap_arena<source, no_lock, first_fit, fullest_first, keeping> arena{
      source{buffer_source{buffer.get(), buffer_bytes}}};
  void* const p = arena.allocate(100 * KiB);
  void* const behind = arena.allocate(100 * KiB);
  void* const idle = arena.allocate(300 * KiB);
  void* const medium = arena.allocate(20 * KiB);
  arena.deallocate(idle);
  arena.deallocate(medium);
  const std::size_t reserve_bytes = arena.stats().reserve_bytes;
  REQUIRE(reserve_bytes > 300 * KiB);
  const source_counts before = arena.source().counts();
  for (const std::size_t bytes : {101 * KiB, 290 * KiB, 1 * MiB}) {
    CHECK(arena.try_resize(p, bytes, 16) == nullptr);
    CHECK(arena.usable_size(p) == 100 * KiB);
    CHECK(arena.stats().reserve_bytes == reserve_bytes);
  }
  CHECK(arena.source().counts().unmap_calls == before.unmap_calls);
  CHECK(arena.source().counts().purge_calls == before.purge_calls);
  CHECK(arena.reallocate(p, 290 * KiB) == idle);  // so it is there for the copy
  CHECK(arena.owns(behind));
  CHECK(arena.source().counts().map_calls == before.map_calls);
  CHECK(arena.check());
}

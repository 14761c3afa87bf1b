// SPDX-License-Identifier: BSL-1.0
// Input that the interface allows and cannot serve: nullptr, no bytes, sizes and alignments that cannot be. Nothing may
// change by it.
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

#include "arenas.hpp"
#include "catch.hpp"

using namespace misuse;

namespace {

constexpr std::size_t most = std::numeric_limits<std::size_t>::max();

/// Runs `body`, after which every counter of the arena must be what it was before.
template <class Arena, class Body>
void require_nothing_changes(const Arena& arena, Body&& body) {
  const auto before = arena.stats();
  body();
  const auto after = arena.stats();
  REQUIRE(after.miniheaps == before.miniheaps);
  REQUIRE(after.empty_miniheaps == before.empty_miniheaps);
  REQUIRE(after.mappings == before.mappings);
  REQUIRE(after.allocations == before.allocations);
  REQUIRE(after.mapped_bytes == before.mapped_bytes);
  REQUIRE(after.peak_mapped_bytes == before.peak_mapped_bytes);
  REQUIRE(after.live_bytes == before.live_bytes);
  REQUIRE(after.free_slot_bytes == before.free_slot_bytes);
  REQUIRE(after.slab_waste_bytes == before.slab_waste_bytes);
  REQUIRE(after.dirty_page_bytes == before.dirty_page_bytes);
  REQUIRE(after.clean_page_bytes == before.clean_page_bytes);
  REQUIRE(after.head_bytes == before.head_bytes);
  REQUIRE(after.metadata_bytes == before.metadata_bytes);
  REQUIRE(static_cast<bool>(arena.check()));
}

template <class Arena>
void require_refused(Arena& arena, std::size_t bytes, std::size_t alignment) {
  INFO(bytes << " bytes, alignment " << alignment);
  require_nothing_changes(arena, [&] {
    REQUIRE(arena.try_allocate(bytes, alignment) == nullptr);
    REQUIRE_THROWS_AS(arena.allocate(bytes, alignment), std::bad_alloc);
    REQUIRE_THROWS_AS(arena.allocate_at_least(bytes, alignment), std::bad_alloc);
    REQUIRE(arena.try_reallocate(nullptr, bytes, alignment) == nullptr);
    REQUIRE_THROWS_AS(arena.reallocate(nullptr, bytes, alignment), std::bad_alloc);
  });
}

template <class Arena>
void require_all_refused(Arena& arena) {
  for (const std::size_t bytes : {most, most - 1, most - 15, most - 16, most - 4095, most - 4096, most - 4 * MiB,
                                  most / 2 + 1, most / 2, most / 2 - 4095}) {
    for (const std::size_t alignment : {std::size_t{1}, std::size_t{16}, 4 * KiB, 4 * MiB, std::size_t{1} << 62}) {
      require_refused(arena, bytes, alignment);
    }
  }
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, small_bytes, medium_bytes, large_bytes, most}) {
    for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{24}, 4 * KiB + 1, 6 * MiB, most,
                                        most - 15, std::size_t{1} << 63}) {
      require_refused(arena, bytes, alignment);
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("nullptr", "[misuse][input]", tiny_arena, locked_arena, default_arena) {
  TestType arena{"null"};
  require_nothing_changes(arena, [&] {
    arena.deallocate(nullptr);
    arena.deallocate(nullptr, 0);
    arena.deallocate(nullptr, 100);
    arena.deallocate(nullptr, most, 4 * KiB);
    REQUIRE(!arena.owns(nullptr));
    REQUIRE(arena.usable_size(nullptr) == 0);
  });
  void* const p = arena.reallocate(nullptr, small_bytes);  // as allocate
  REQUIRE(arena.stats().allocations == 1);
  REQUIRE(!arena.owns(nullptr));
  arena.deallocate(p);
}

TEMPLATE_TEST_CASE("no bytes: an address of its own", "[misuse][input]", tiny_arena, locked_arena, default_arena) {
  TestType arena{"zero"};
  for (std::size_t alignment = 1; alignment <= 16 * MiB; alignment *= 2) {
    INFO("alignment " << alignment);
    void* const a = arena.allocate(0, alignment);
    void* const b = arena.try_allocate(0, alignment);
    const auto c = arena.allocate_at_least(0, alignment);
    REQUIRE(a != nullptr);
    REQUIRE(b != nullptr);
    REQUIRE(c.ptr != nullptr);
    REQUIRE(a != b);
    REQUIRE(a != c.ptr);
    REQUIRE(b != c.ptr);
    REQUIRE(reinterpret_cast<std::uintptr_t>(a) % alignment == 0);
    REQUIRE(arena.owns(a));
    REQUIRE(arena.stats().allocations == 3);
    REQUIRE(static_cast<bool>(arena.check()));
    std::memset(c.ptr, 1, c.bytes);
    arena.deallocate(a);
    arena.deallocate(b, 0, alignment);
    arena.deallocate(c.ptr, c.bytes, alignment);
    REQUIRE(arena.stats().allocations == 0);
  }
  void* p = arena.allocate(small_bytes);
  p = arena.reallocate(p, 0);  // not a free
  REQUIRE(p != nullptr);
  REQUIRE(arena.stats().allocations == 1);
  arena.deallocate(p);
}

TEMPLATE_TEST_CASE("sizes and alignments that cannot be", "[misuse][input]", tiny_arena, locked_arena, default_arena) {
  TestType arena{"impossible"};
  SECTION("asked of an empty arena") {
    require_all_refused(arena);
    REQUIRE(arena.stats().peak_mapped_bytes == 0);
  }
  SECTION("asked of one in use") {
    void* const small = arena.allocate(small_bytes);
    void* const medium = arena.allocate(medium_bytes);
    void* const large = arena.allocate(large_bytes);
    require_all_refused(arena);
    arena.deallocate(small);
    arena.deallocate(medium);
    arena.deallocate(large);
  }
}

TEMPLATE_TEST_CASE("a reallocation that cannot be leaves the old one", "[misuse][input]", tiny_arena, locked_arena,
                   default_arena) {
  TestType arena{"reallocate"};
  for (const std::size_t bytes : {small_bytes, medium_bytes, large_bytes}) {
    auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
    for (std::size_t i = 0; i < bytes; ++i) p[i] = static_cast<unsigned char>(i * 7);
    for (const std::size_t to : {most, most - 15, most - 4096, most / 2}) {
      INFO(bytes << " bytes to " << to);
      require_nothing_changes(arena, [&] {
        REQUIRE(arena.try_reallocate(p, to) == nullptr);
        REQUIRE_THROWS_AS(arena.reallocate(p, to), std::bad_alloc);
        REQUIRE(arena.try_reallocate(p, bytes, 3) == nullptr);
        REQUIRE(arena.try_reallocate(p, bytes, 0) == nullptr);
        REQUIRE(arena.try_reallocate(p, bytes, std::size_t{1} << 63) == nullptr);
      });
    }
    bool same = true;
    for (std::size_t i = 0; i < bytes; ++i) same = same && p[i] == static_cast<unsigned char>(i * 7);
    REQUIRE(same);
    arena.deallocate(p, bytes);
  }
}

TEMPLATE_TEST_CASE("arrays that cannot be", "[misuse][input]", tiny_arena, default_arena) {
  struct odd {
    char bytes[24];
  };
  TestType arena{"arrays"};
  miniheap::miniheap_allocator<odd, TestType> allocator(arena);
  require_nothing_changes(arena, [&] {
    // Times 24 these wrap around, the first one to a size that there is: 16 bytes.
    for (const std::size_t n : {most / 24 + 1, most / 16, most / 2, most}) {
      REQUIRE_THROWS_AS(allocator.allocate(n), std::bad_array_new_length);
      REQUIRE_THROWS_AS(allocator.allocate_at_least(n), std::bad_array_new_length);
    }
    REQUIRE_THROWS_AS(allocator.allocate(most / 24), std::bad_alloc);
    REQUIRE_THROWS_AS(allocator.allocate(most / 48), std::bad_alloc);
  });
}

TEMPLATE_TEST_CASE("owns may be asked about anything", "[misuse][input]", tiny_arena, default_arena) {
  TestType arena{"owns"};
  TestType other{"other"};
  int local = 0;
  for (const std::size_t bytes : {small_bytes, medium_bytes, large_bytes}) {
    void* const p = arena.allocate(bytes);
    REQUIRE(arena.owns(p));
    REQUIRE(arena.owns(at_offset(p, bytes - 1)));
    REQUIRE(!other.owns(p));
    REQUIRE(!arena.owns(&local));
    REQUIRE(!arena.owns(&arena));
    REQUIRE(!arena.owns(reinterpret_cast<void*>(most)));
    REQUIRE(!arena.owns(reinterpret_cast<void*>(most - 4 * MiB + 1)));
    arena.deallocate(p);
    if (bytes == large_bytes) REQUIRE(!arena.owns(p));
  }
}

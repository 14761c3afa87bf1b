// SPDX-License-Identifier: BSL-1.0
#include <miniheap/thread_cache.hpp>

#include "cached_arena.hpp"
#include "catch.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace miniheap;

namespace {

std::size_t source_mapped_bytes(const cached_arena& arena) { return arena.source().counts().mapped_bytes; }

}  // namespace

TEST_CASE("thread_cached: what is in stock is not live", "[thread_cache]") {
  cached_arena arena{"cached"};
  CHECK(source_mapped_bytes(arena) == 0);
  const auto all = allocate_some(arena, 100, 64);
  CHECK(arena.stats().allocations == 100);
  CHECK(arena.stats().live_bytes == 6400);
  deallocate_all(arena, all);
  const arena_stats after = arena.stats();
  CHECK(after.allocations == 0);
  CHECK(after.live_bytes == 0);
  CHECK(after.cache_bytes > 0);
  CHECK(after.cache_bytes % 64 == 0);
  arena.flush();
  CHECK(arena.stats().cache_bytes == 0);
  CHECK(arena.check());
}

TEST_CASE("thread_cached: a slot comes back as the next one, without the arena", "[thread_cache]") {
  cached_arena arena;
  void* const p = arena.allocate(100);
  arena.deallocate(p);
  CHECK(arena.allocate(100) == p);
  arena.deallocate(p, 100);
  CHECK(arena.allocate(112) == p);
  arena.deallocate(p);
}

TEST_CASE("thread_cached: medium allocations are kept too, large ones are not", "[thread_cache]") {
  cached_arena arena;
  void* const medium = arena.allocate(20000);
  arena.deallocate(medium);
  CHECK(arena.stats().cache_bytes >= 20480);
  CHECK(arena.allocate(20480) == medium);
  arena.deallocate(medium, 20480);
  arena.flush();
  void* const large = arena.allocate(1 * MiB);
  arena.deallocate(large);
  CHECK(arena.stats().cache_bytes == 0);
}

TEST_CASE("thread_cached: nothing but a slot is freed quickly, whatever is checked", "[thread_cache]") {
  constexpr arena_config unchecked{.checks = check_level::none};
  thread_cached<miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, unchecked>> arena;
  CHECK_FALSE(arena.try_deallocate_quickly(arena.allocate(300 * KiB)));
  CHECK_FALSE(arena.try_deallocate_quickly(arena.allocate(1 * MiB)));
}

TEST_CASE("thread_cached: what is no start of a used slot is not freed quickly", "[thread_cache]") {
  cached_arena arena;
  for (std::uint32_t c = 0; c < detail::size_classes; ++c) {
    const detail::slab_shape& shape = detail::shapes[c];
    std::vector<std::byte*> live(2 * shape.slots);
    for (std::byte*& p : live) p = static_cast<std::byte*>(arena.allocate(shape.slot_bytes));
    std::sort(live.begin(), live.end());
    for (std::byte* const p : live) {
      const std::size_t end = shape.slot_bytes + shape.tail_bytes();  // of the slab, where that is its last slot
      for (std::size_t offset = 1; offset < end; offset += offset < 40 || offset + 40 > shape.slot_bytes ? 1 : 13) {
        std::byte* const inside = p + offset;
        if (std::binary_search(live.begin(), live.end(), inside)) break;
        if (arena.try_deallocate_quickly(inside) || arena.try_deallocate_quickly(inside, shape.slot_bytes))
          FAIL(offset << " of " << shape.slot_bytes);
      }
    }
    arena.deallocate(live.front(), shape.slot_bytes);
    CHECK_FALSE(arena.try_deallocate_quickly(live.front()));
    CHECK_FALSE(arena.try_deallocate_quickly(live.front(), shape.slot_bytes));
    live.erase(live.begin());
    for (std::byte* const p : live) arena.deallocate(p);
  }
}

TEST_CASE("thread_cached: a thread that ends leaves nothing in stock, and no memory behind", "[thread_cache]") {
  cached_arena arena;
  std::size_t most_bytes = 0;
  for (int n = 0; n < 200; ++n) {
    std::thread{[&] { deallocate_all(arena, allocate_some(arena, 50, 200)); }}.join();
    CHECK(arena.stats().cache_bytes == 0);
    if (n == 10) most_bytes = source_mapped_bytes(arena);
  }
  CHECK(source_mapped_bytes(arena) <= most_bytes);
  arena.trim();
  CHECK(source_mapped_bytes(arena) == 0);
}

TEST_CASE("thread_cached: what one thread allocated another one frees", "[thread_cache]") {
  cached_arena arena;
  const auto all = allocate_some(arena, 10000, 48);
  std::thread{[&] { deallocate_all(arena, all); }}.join();
  CHECK(arena.stats().allocations == 0);
  arena.trim();
  CHECK(source_mapped_bytes(arena) <= 512 * KiB);  // the cache of this thread
  CHECK(arena.check());
}

TEST_CASE("thread_cached: the last free, from another thread, gives a miniheap back", "[thread_cache]") {
  cached_arena arena;
  const auto all = allocate_some(arena, 2000, 4000);
  arena.flush();
  CHECK(arena.stats().miniheaps > 20);
  std::thread{[&] { deallocate_all(arena, all); }}.join();
  CHECK(arena.stats().miniheaps == 0);
}

TEST_CASE("thread_cached: trim reaches other threads at their next call", "[thread_cache]") {
  cached_arena arena;
  std::thread other;
  std::size_t in_stock = 0;
  std::uint32_t step = 0;
  const auto reach = [&](std::uint32_t n) {
    __atomic_store_n(&step, n, __ATOMIC_SEQ_CST);
    __builtin_ia32_pause();
  };
  const auto await = [&](std::uint32_t n) {
    while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) < n) std::this_thread::yield();
  };
  other = std::thread{[&] {
    deallocate_all(arena, allocate_some(arena, 500, 64));
    reach(1);
    await(2);
    arena.deallocate(arena.allocate(16));
    reach(3);
    await(4);
  }};
  await(1);
  in_stock = arena.stats().cache_bytes;
  arena.trim();
  CHECK(arena.stats().cache_bytes == in_stock);
  reach(2);
  await(3);
  CHECK(arena.stats().cache_bytes <= 8 * 16);
  reach(4);
  other.join();
  CHECK(in_stock > 64);
}

TEST_CASE("thread_cached: threads outlive arenas", "[thread_cache]") {
  std::optional<cached_arena> arena;
  std::uint32_t step = 0;
  const auto await = [&](std::uint32_t n) {
    while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) < n) std::this_thread::yield();
  };
  arena.emplace("first");
  std::thread other{[&] {
    deallocate_all(*arena, allocate_some(*arena, 100, 64));
    __atomic_store_n(&step, 1, __ATOMIC_SEQ_CST);
    await(2);
    deallocate_all(*arena, allocate_some(*arena, 100, 64));
  }};
  await(1);
  arena.emplace("second");  // very likely at the same place in `current`
  __atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
  other.join();
  CHECK(arena->stats().allocations == 0);
  CHECK(arena->check());
}

TEST_CASE("thread_cached: many arenas in one thread", "[thread_cache]") {
  std::vector<std::unique_ptr<cached_arena>> arenas;
  for (int n = 0; n < 20; ++n) arenas.push_back(std::make_unique<cached_arena>());
  std::vector<std::pair<cached_arena*, void*>> all;
  for (int n = 0; n < 2000; ++n) {
    cached_arena& arena = *arenas[static_cast<std::size_t>(n) % arenas.size()];
    all.emplace_back(&arena, arena.allocate(64));
  }
  for (const auto& [arena, p] : all) {
    CHECK(arena->owns(p));
    arena->deallocate(p);
  }
  for (const auto& arena : arenas) {
    CHECK(arena->stats().allocations == 0);
    CHECK(arena->check());
  }
}

TEST_CASE("thread_cached: reallocate keeps contents across every kind of size", "[thread_cache]") {
  cached_arena arena;
  std::size_t bytes = 10;
  char* p = static_cast<char*>(arena.allocate(bytes));
  std::memset(p, 'x', bytes);
  for (const std::size_t next : {12u, 100u, 5000u, 9000u, 30000u, 400000u, 800000u, 20000u, 300u, 1u, 0u}) {
    p = static_cast<char*>(arena.reallocate(p, next));
    CHECK(arena.usable_size(p) >= next);
    for (std::size_t i = 0; i < std::min<std::size_t>(bytes, next); ++i) REQUIRE(p[i] == 'x');
    std::memset(p, 'x', next);
    bytes = next;
  }
  arena.deallocate(p);
  CHECK(arena.try_reallocate(nullptr, 8, 24) == nullptr);
  p = static_cast<char*>(arena.allocate(8));
  CHECK(arena.try_reallocate(p, 8, 24) == nullptr);
  CHECK(arena.try_reallocate(p, SIZE_MAX) == nullptr);
  arena.deallocate(p);
}

TEST_CASE("thread_cached: medium allocations grow and shrink where they are, if there is room", "[thread_cache]") {
  cached_arena arena;
  char* const p = static_cast<char*>(arena.allocate(20 * KiB));
  std::memset(p, 'x', 20 * KiB);
  for (const std::size_t next : {60u, 100u, 24u, 9u, 64u, 20u}) {
    CHECK(arena.reallocate(p, next * KiB) == p);
    CHECK(arena.usable_size(p) == detail::align_up(next * KiB, detail::page_bytes));
  }
  char* const behind = static_cast<char*>(arena.allocate(100 * KiB));  // too long for the stock: the lowest that fits
  REQUIRE(behind == p + 20 * KiB);
  char* const moved = static_cast<char*>(arena.reallocate(p, 24 * KiB));
  REQUIRE(moved != p);
  for (std::size_t i = 0; i < 9 * KiB; ++i) REQUIRE(moved[i] == 'x');
  CHECK(arena.reallocate(moved, 8 * KiB) != moved);  // a slot will do
  arena.deallocate(behind);
  CHECK(arena.check());
}

TEST_CASE("thread_cached: zeroed memory is zero after it was used", "[thread_cache]") {
  cached_arena arena;
  for (const std::size_t bytes : {24u, 5000u, 20000u, 200000u, 2000000u}) {
    char* p = static_cast<char*>(arena.allocate(bytes));
    std::memset(p, 'x', bytes);
    arena.deallocate(p);
    p = static_cast<char*>(arena.try_allocate_zeroed(bytes));
    REQUIRE(p != nullptr);
    CHECK(std::count(p, p + bytes, '\0') == static_cast<std::ptrdiff_t>(bytes));
    arena.deallocate(p);
  }
}

TEST_CASE("thread_cached: without memory for a cache the arena serves", "[thread_cache]") {
  std::byte* const memory = new std::byte[600 * KiB];
  {
    using tight = thread_cached<miniheap_arena<buffer_source, no_lock, first_fit, fullest_first,
                                               arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}>>;
    tight arena{buffer_source{memory, 200 * KiB}};  // no room for a cache and a miniheap
    std::vector<void*> all;
    while (void* const p = arena.try_allocate(1000)) all.push_back(p);
    CHECK(all.size() >= 50);
    for (void* const p : all) arena.deallocate(p);
    CHECK(arena.stats().allocations == 0);
    CHECK(arena.check());
  }
  delete[] memory;
}

TEST_CASE("thread_cached: no budget, no stock", "[thread_cache]") {
  thread_cached<
      miniheap_arena<mmap_source, coarse_lock<>, first_fit, fullest_first, arena_config{.thread_cache_bytes = 0}>>
      arena;
  void* const large = arena.allocate(16 * MiB);  // a share of which would be a budget
  for (int n = 0; n < 100; ++n) arena.deallocate(arena.allocate(static_cast<std::size_t>(n) * 10));
  CHECK(arena.stats().cache_bytes == 0);
  arena.deallocate(large);
}

TEST_CASE("thread_cached: without a share the budget stays what it is", "[thread_cache]") {
  constexpr arena_config fixed{.thread_cache_bytes = 4 * KiB, .thread_cache_share = 0};
  thread_cached<miniheap_arena<mmap_source, coarse_lock<>, first_fit, fullest_first, fixed>> arena;
  void* const large = arena.allocate(16 * MiB);
  for (std::size_t n = 0; n < 1000; ++n) arena.deallocate(arena.allocate(n % 100));
  CHECK(arena.stats().cache_bytes > 0);
  CHECK(arena.stats().cache_bytes <= 4 * KiB);
  arena.deallocate(large);
}

TEST_CASE("thread_cached: a thread may keep a share of what is in use", "[thread_cache]") {
  constexpr arena_config shared{.thread_cache_bytes = 64 * KiB, .thread_cache_share = 16};
  thread_cached<miniheap_arena<counting_source<>, coarse_lock<>, first_fit, fullest_first, shared>> arena;
  const auto most_in_stock = [&] {
    std::size_t most = 0;
    for (int round = 0; round < 20; ++round) {
      std::vector<void*> all;
      for (std::size_t n = 0; n < 3000; ++n) all.push_back(arena.allocate(16 * (1 + n % 60)));
      for (void* const p : all) arena.deallocate(p);
      most = std::max(most, arena.stats().cache_bytes);
    }
    return most;
  };
  CHECK(most_in_stock() < 256 * KiB);  // of 1.4 MiB that come and go
  std::vector<void*> large;
  for (int n = 0; n < 4; ++n) large.push_back(arena.allocate(4 * MiB));
  CHECK(most_in_stock() > 512 * KiB);
  CHECK(most_in_stock() < 1536 * KiB);
  for (void* const p : large) arena.deallocate(p);
}

TEST_CASE("thread_cached: dump counts what is in stock", "[thread_cache]") {
  cached_arena arena;
  arena.deallocate(arena.allocate(32));
  std::string text;
  const auto sink = [&](std::string_view piece) { text += piece; };
  REQUIRE(arena.try_dump(sink));
  CHECK(text.find("cache_bytes") != std::string::npos);
  text.clear();
  arena.dump(sink, dump_format::json);
  CHECK(text.find("\"allocations\":0,") != std::string::npos);
}

TEST_CASE("thread_cached: nobody else is inside while it is locked", "[thread_cache]") {
  cached_arena arena;
  const auto nothing = [](std::string_view) {};
  arena.lock();
  bool is_dumped = true;
  std::thread{[&] { is_dumped = arena.try_dump(nothing); }}.join();
  arena.unlock();
  CHECK_FALSE(is_dumped);
  CHECK(arena.try_dump(nothing));
}

TEST_CASE("thread_cached: two arenas are locked by one thread, and a sink may use another", "[thread_cache]") {
  cached_arena a;
  cached_arena b;
  a.lock();
  b.lock();
  b.unlock();
  a.unlock();
  std::size_t pieces = 0;
  a.deallocate(a.allocate(10));
  a.dump([&](std::string_view) {
    b.deallocate(b.allocate(100));
    ++pieces;
  });
  CHECK(pieces > 3);
}

TEST_CASE("thread_cached: a sink that throws leaves the arena open", "[thread_cache]") {
  cached_arena arena;
  CHECK_THROWS(arena.try_dump([](std::string_view) { throw 1; }));
  std::thread{[&] { CHECK(arena.try_dump([](std::string_view) {})); }}.join();
}

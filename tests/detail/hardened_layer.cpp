// SPDX-License-Identifier: BSL-1.0
// What a hardened arena is to a correct program: an arena.
#include <miniheap/allocator.hpp>
#include <miniheap/malloc_api.hpp>
#include <miniheap/thread_cache.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <thread>
#include <vector>

using namespace miniheap;

namespace {

constexpr arena_config config{.miniheap_bytes = 256 * KiB, .checks = check_level::hardened};
using counted = counting_source<mmap_source>;
using plain = miniheap_arena<counted, no_lock, first_fit, fullest_first, config>;
using fine = miniheap_arena<counted, fine_grained_lock, good_fit, newest_first, config>;
using cached = thread_cached<miniheap_arena<counted, coarse_lock<>, first_fit, fullest_first, config>>;

std::size_t sum_of(const arena_stats& s) {
  return s.live_bytes + s.free_slot_bytes + s.slab_waste_bytes + s.dirty_page_bytes + s.clean_page_bytes +
         s.head_bytes + s.cache_bytes + s.metadata_bytes;
}

}  // namespace

TEMPLATE_TEST_CASE("hardened: usable is what was asked for, and contents are kept", "[hardened]", plain, fine, cached) {
  TestType arena{"hardened"};
  random_numbers random{7};
  std::map<unsigned char*, std::size_t> live;
  const auto fill = [](unsigned char* p, std::size_t bytes) {
    for (std::size_t n = 0; n < bytes; ++n) p[n] = static_cast<unsigned char>(bytes + n);
  };
  const auto is_kept = [](const unsigned char* p, std::size_t bytes, std::size_t upto) {
    for (std::size_t n = 0; n < upto; ++n) {
      if (p[n] != static_cast<unsigned char>(bytes + n)) return false;
    }
    return true;
  };
  const auto some_bytes = [&] {
    const std::size_t most = random.one_in(20) ? 600 * KiB : random.one_in(5) ? 20000 : 300;
    return random.below(most);
  };
  for (int n = 0; n < 20000; ++n) {
    if (live.size() < 300 && random.one_in(2)) {
      const std::size_t bytes = some_bytes();
      const std::size_t alignment = random.one_in(4) ? std::size_t{1} << random.below(14u) : 16;
      auto* const p = static_cast<unsigned char*>(arena.allocate(bytes, alignment));
      REQUIRE(reinterpret_cast<std::uintptr_t>(p) % alignment == 0);
      REQUIRE(arena.usable_size(p) == bytes);
      REQUIRE(std::all_of(p, p + bytes, [](unsigned char byte) { return byte == 0; }));
      fill(p, bytes);
      REQUIRE(live.emplace(p, bytes).second);
    } else if (!live.empty()) {
      auto it = live.lower_bound(reinterpret_cast<unsigned char*>(random.below(std::uint64_t{1} << 47)));
      if (it == live.end()) it = live.begin();
      const auto [p, bytes] = *it;
      live.erase(it);
      REQUIRE(is_kept(p, bytes, bytes));
      if (random.one_in(3)) {
        const std::size_t wanted = some_bytes();
        auto* const q = static_cast<unsigned char*>(arena.reallocate(p, wanted));
        REQUIRE(is_kept(q, bytes, std::min(bytes, wanted)));
        REQUIRE((wanted <= bytes || std::all_of(q + bytes, q + wanted, [](unsigned char byte) { return byte == 0; })));
        fill(q, wanted);
        live.emplace(q, wanted);
      } else {
        arena.deallocate(p);
      }
    }
    if (n % 1000 == 0) {
      const check_result result = arena.check();
      INFO((result ? "" : result.broken));
      REQUIRE(result);
      const arena_stats stats = arena.stats();
      REQUIRE(stats.allocations == live.size());
      REQUIRE(sum_of(stats) == stats.mapped_bytes);
      REQUIRE(stats.mapped_bytes == arena.source().counts().mapped_bytes);
    }
  }
  for (const auto& [p, bytes] : live) arena.deallocate(p);
  arena.trim();
  CHECK(arena.check());
  arena.release();
  CHECK(arena.source().counts().mapped_bytes == 0);
}

TEST_CASE("hardened: the quick path does what the others do, or nothing", "[hardened]") {
  cached arena{"hardened"};
  CHECK(arena.try_allocate_quickly(64) == nullptr);  // there is no stock
  auto* const first = static_cast<unsigned char*>(arena.allocate(64));
  CHECK(arena.try_allocate_quickly(0) == nullptr);
  CHECK(arena.try_allocate_quickly(detail::max_small_bytes) == nullptr);
  CHECK(arena.try_allocate_quickly(1000) == nullptr);  // none of its size class
  auto* const quick = static_cast<unsigned char*>(arena.try_allocate_quickly(64));
  REQUIRE(quick != nullptr);
  CHECK(std::all_of(quick, quick + 64, [](unsigned char byte) { return byte == 0; }));
  CHECK(arena.usable_size(quick) == 64);
  CHECK(arena.stats().allocations == 2);

  CHECK_FALSE(arena.try_deallocate_quickly(quick, std::size_t{63}));
  CHECK_FALSE(arena.try_deallocate_quickly(quick + 16));
  CHECK_FALSE(arena.try_deallocate_quickly(arena.allocate(100 * KiB)));
  CHECK(arena.try_deallocate_quickly(quick, std::size_t{64}));
  CHECK_FALSE(arena.try_deallocate_quickly(quick));
  CHECK(arena.try_deallocate_quickly(first));
  void* const aligned = arena.allocate(64, 64);
  CHECK_FALSE(arena.try_deallocate_quickly(aligned, std::size_t{64}));  // the caller had another alignment in mind
  CHECK(arena.try_deallocate_quickly(aligned));
  CHECK(arena.stats().allocations == 1);
  CHECK(arena.check());
}

TEMPLATE_TEST_CASE("hardened: a walk shows what the program has", "[hardened]", plain, cached) {
  TestType arena;
  std::map<const void*, std::size_t> live;
  for (const std::size_t bytes : {1u, 100u, 5000u, 30000u, 100000u, 1000000u}) live[arena.allocate(bytes)] = bytes;
  arena.deallocate(arena.allocate(50));
  arena.deallocate(arena.allocate(200000));
  std::map<const void*, std::size_t> seen;
  struct collector {
    std::map<const void*, std::size_t>& seen;
    void operator()(const allocation_info& info) const { seen[info.address] = info.bytes; }
    void operator()(const mapping_info& info) const { seen[info.address] = info.bytes; }
  };
  arena.walk(collector{seen});
  CHECK(seen == live);
}

TEMPLATE_TEST_CASE("hardened: slots are handed out by chance", "[hardened]", plain, fine, cached) {
  TestType arena;
  std::vector<std::uintptr_t> all;
  for (int n = 0; n < 64; ++n) all.push_back(reinterpret_cast<std::uintptr_t>(arena.allocate(40)));
  int neighbours = 0;
  for (std::size_t n = 1; n < all.size(); ++n) neighbours += all[n] == all[n - 1] + 48 ? 1 : 0;
  CHECK(neighbours < 16);
}

TEMPLATE_TEST_CASE("hardened: what was freed is not the next to be allocated", "[hardened]", plain, fine, cached) {
  TestType arena;
  for (const std::size_t bytes : {1u, 100u, 2000u, 30000u, 200000u}) {
    for (int n = 0; n < 20; ++n) {
      void* const p = arena.allocate(bytes);
      arena.deallocate(p);
      void* const q = arena.allocate(bytes);
      REQUIRE(p != q);
      arena.deallocate(q, bytes);
    }
  }
}

TEST_CASE("hardened: what waits is had when there is nothing else", "[hardened]") {
  using limited =
      miniheap_arena<limited_source<mmap_source>, no_lock, first_fit, fullest_first,
                     arena_config{
                         .miniheap_bytes = 64 * KiB, .checks = check_level::hardened, .quarantine_bytes = 64 * KiB}>;
  limited arena{limited_source<mmap_source>{400 * KiB}};
  std::vector<void*> all;
  while (void* const p = arena.try_allocate(3000)) all.push_back(p);
  REQUIRE(all.size() > 30);
  for (void* const p : all) arena.deallocate(p);
  CHECK(arena.check());
  std::size_t again = 0;
  while (arena.try_allocate(3000) != nullptr) ++again;
  CHECK(again >= all.size() - 1);
  CHECK_THROWS_AS(arena.allocate(3000), std::bad_alloc);
  CHECK(arena.try_allocate(SIZE_MAX) == nullptr);
  CHECK(arena.try_allocate(SIZE_MAX - 4) == nullptr);
  CHECK(arena.try_allocate(PTRDIFF_MAX) == nullptr);
  CHECK(arena.try_allocate(16, 3) == nullptr);
}

TEST_CASE("hardened: over a buffer, where nothing is protected or zero by itself", "[hardened]") {
  const auto memory = std::make_unique<std::byte[]>(4 * MiB);
  std::memset(memory.get(), 0xee, 4 * MiB);
  miniheap_arena<buffer_source, no_lock, first_fit, fullest_first, config> arena{buffer_source{memory.get(), 4 * MiB}};
  std::vector<unsigned char*> all;
  for (int round = 0; round < 20; ++round) {
    for (const std::size_t bytes : {0u, 1u, 100u, 5000u, 30000u, 100000u, 300000u}) {
      auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
      REQUIRE(std::all_of(p, p + bytes, [](unsigned char byte) { return byte == 0; }));
      std::memset(p, 1, bytes);
      all.push_back(p);
    }
    REQUIRE(arena.check());
    for (unsigned char* const p : all) arena.deallocate(p);
    all.clear();
  }
}

TEMPLATE_TEST_CASE("hardened: what was written far behind the end is found by check, and does no harm", "[hardened]",
                   plain, fine, cached) {
  TestType arena;
  for (const std::size_t bytes : {520u, 20000u, 200000u}) {  // which leave room in a slot, in pages, in a range
    auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
    p[bytes + 24] = 1;
    const check_result result = arena.check();
    REQUIRE(!result);
    CHECK(result.where == p);
    arena.deallocate(p);
    CHECK(arena.check());
  }
}

TEMPLATE_TEST_CASE("hardened: what was written to a free slot is found by check", "[hardened]", plain, fine) {
  TestType arena;
  std::vector<unsigned char*> all;
  for (int n = 0; n < 64; ++n) all.push_back(static_cast<unsigned char*>(arena.allocate(40)));
  for (std::size_t n = 0; n < all.size(); n += 2) arena.deallocate(all[n]);
  arena.trim();  // nothing waits any more
  for (std::size_t n = 0; n < all.size(); n += 2) {
    all[n][20] = 1;
    const check_result result = arena.check();
    REQUIRE(!result);
    CHECK(result.where <= all[n]);
    all[n][20] = 0;
  }
  CHECK(arena.check());
}

TEST_CASE("hardened: the pages of what is very long are dropped, not written over", "[hardened]") {
  plain arena;
  auto* const p = static_cast<unsigned char*>(arena.allocate(33 * MiB));
  std::memset(p, 1, 33 * MiB);
  const std::size_t before_bytes = arena.source().counts().purged_bytes;
  arena.deallocate(p);
  CHECK(arena.source().counts().purged_bytes >= before_bytes + 33 * MiB);
  CHECK(arena.check());
}

TEST_CASE("hardened: containers, malloc and threads", "[hardened]") {
  cached arena;
  {
    std::vector<int, miniheap_allocator<int, cached>> numbers{arena};
    for (int n = 0; n < 100000; ++n) numbers.push_back(n);
    std::map<int, int, std::less<>, miniheap_allocator<std::pair<const int, int>, cached>> map{arena};
    for (int n = 0; n < 1000; ++n) map[n] = n;
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  }
  const malloc_api api{arena};
  void* out = nullptr;
  CHECK(api.posix_memalign(&out, 64, 100) == 0);
  CHECK(api.malloc_usable_size(out) == 100);
  api.free_aligned_sized(out, 64, 100);
  auto* const zeroed = static_cast<unsigned char*>(api.calloc(10, 10));
  CHECK(zeroed[99] == 0);
  api.free_sized(zeroed, 100);

  std::vector<std::thread> threads;
  std::vector<void*> all(4000);
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t n = t; n < all.size(); n += 4) all[n] = arena.allocate(n % 700);
    });
  }
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t n = t * 1000; n < (t + 1) * 1000; ++n) arena.deallocate(all[n]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(arena.check());
  CHECK(arena.stats().allocations == 0);
}

TEMPLATE_TEST_CASE("hardened: statistics, frees and forks of several threads do not wait for each other for ever",
                   "[hardened]", fine, cached) {
  TestType arena;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int n = 0; n < 3000; ++n) static_cast<void>(arena.stats());
  });
  threads.emplace_back([&] {
    for (int n = 0; n < 3000; ++n) {
      arena.lock();  // as around a fork
      arena.unlock();
    }
  });
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1500; ++n) {
        for (const std::size_t bytes : {0u, 40u, 70'000u}) arena.deallocate(arena.allocate(bytes), bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(arena.stats().allocations == 0);
  CHECK(arena.check());
}

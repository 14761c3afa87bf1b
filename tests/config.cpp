// SPDX-License-Identifier: BSL-1.0
#include <miniheap/arena.hpp>

#include "catch.hpp"

using namespace miniheap;

namespace {

template <arena_config Config>
using arena_of = miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, Config>;

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB};
constexpr arena_config vast{.miniheap_bytes = 64 * MiB};

/// The largest request that shares a miniheap with others.
template <arena_config Config>
std::size_t largest_medium_bytes() {
  arena_of<Config> arena;
  std::size_t bytes = 4096;
  for (; bytes < 2 * Config.miniheap_bytes; bytes += 4096) {
    void* const p = arena.allocate(bytes);
    if (arena.stats().mappings != 0) break;
    arena.deallocate(p);
  }
  return bytes - 4096;
}

}  // namespace

TEST_CASE("config: the defaults", "[config]") {
  constexpr arena_config defaults = miniheap_arena<>::config;
  CHECK(defaults.miniheap_bytes == 4 * MiB);
  CHECK(defaults.large_threshold_bytes == 256 * KiB);
  CHECK(defaults.reserve_ceiling_bytes >= defaults.miniheap_bytes);
  CHECK(defaults.checks == check_level::basic);
  CHECK(!defaults.report_leaks);
  CHECK(MiB == 1024 * KiB);
  CHECK(KiB == 1024);
}

TEST_CASE("config: requests above the threshold are no part of a miniheap", "[config]") {
  CHECK(largest_medium_bytes<tiny>() == 32 * KiB);
  CHECK(largest_medium_bytes<arena_config{.miniheap_bytes = 256 * KiB, .large_threshold_bytes = 20 * KiB}>() ==
        20 * KiB);
  CHECK(largest_medium_bytes<arena_config{.large_threshold_bytes = 128 * KiB}>() == 128 * KiB);
  CHECK(largest_medium_bytes<arena_config{.large_threshold_bytes = 256 * KiB}>() == 256 * KiB);
  CHECK(largest_medium_bytes<arena_config{.large_threshold_bytes = 1 * MiB}>() == 1 * MiB);
  CHECK(largest_medium_bytes<arena_config{}>() == 256 * KiB);
  CHECK(largest_medium_bytes<arena_config{.large_threshold_bytes = 4 * MiB}>() == 2 * MiB);
}

TEST_CASE("config: the smallest and the largest miniheaps", "[config]") {
  arena_of<tiny> small;
  arena_of<vast> large;
  for (int n = 0; n < 1000; ++n) {
    REQUIRE(small.try_allocate(5000) != nullptr);
    REQUIRE(large.try_allocate(50000) != nullptr);
  }
  CHECK(small.check());
  CHECK(large.check());
  CHECK(small.stats().miniheaps > 70);
  CHECK(large.stats().miniheaps == 1);
}

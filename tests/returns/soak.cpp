// SPDX-License-Identifier: BSL-1.0
// At a constant live size what is held does not grow, however long it goes on. MINIHEAP_TEST_SOAK_SECONDS says how long
// (2, if it is not set; ./tests/run --soak takes 600).
#include <miniheap/thread_cache.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <chrono>
#include <cstdlib>
#include <vector>

using namespace miniheap;

namespace {

std::chrono::seconds how_long() {
  const char* const text = std::getenv("MINIHEAP_TEST_SOAK_SECONDS");
  return std::chrono::seconds{text == nullptr ? 2 : std::strtol(text, nullptr, 10)};
}

}  // namespace

TEST_CASE("returns: at a constant live size what is held does not grow", "[returns][soak]") {
  using clock = std::chrono::steady_clock;
  thread_cached<miniheap_arena<counting_source<>>> arena;
  random_numbers random{9};
  struct object {
    void* p = nullptr;
    std::size_t bytes = 0;
  };
  // Objects of three lifetimes in the proportion of 1 to 10 to 100.
  std::vector<object> live[3] = {std::vector<object>(10'000), std::vector<object>(10'000), std::vector<object>(10'000)};
  std::size_t live_bytes = 0;
  const auto replace = [&](std::vector<object>& all) {
    object& o = all[random.below(all.size())];
    live_bytes -= o.bytes;
    arena.deallocate(o.p);
    const std::size_t from = std::size_t{16} << random.below(10u);
    o.bytes = from + random.below(from);
    o.p = arena.allocate(o.bytes);
    live_bytes += o.bytes;
  };
  const auto turn = [&] {
    for (int n = 0; n < 100'000; ++n) replace(live[n % 111 == 0 ? 2 : n % 11 == 0 ? 1 : 0]);
  };
  for (int n = 0; n < 20; ++n) turn();  // all have been replaced
  const auto held = [&] {
    REQUIRE(arena.check());
    return static_cast<double>(arena.stats().resident_estimate()) / static_cast<double>(live_bytes);
  };
  double first = 0;
  for (int n = 0; n < 10; ++n) {
    turn();
    first = std::max(first, held());
  }
  for (const auto end = clock::now() + how_long(); clock::now() < end;) {
    for (int n = 0; n < 10; ++n) turn();
    INFO(first << " at first, now " << held());
    REQUIRE(held() < 1.1 * first);
  }
}

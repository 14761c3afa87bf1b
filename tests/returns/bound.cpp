// SPDX-License-Identifier: BSL-1.0
// What the bound of the reserve does while a program takes and frees memory.
#include <miniheap/detail/reserve_bound.hpp>

#include "catch.hpp"

#include <algorithm>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

constexpr arena_config adapting{
    .reserve_floor_bytes = 1 * MiB, .reserve_ceiling_bytes = 16 * MiB, .reserve_ceiling_share = 8};
constexpr std::size_t step = 4 * KiB;

/// Memory that is taken and freed a page at a time, last in first out, with a reserve that gives back what is above the
/// bound, the oldest first.
template <arena_config Config>
struct reserve {
  reserve_bound<Config> bound;
  std::size_t held = 0;
  std::size_t old = 0;  // of them, held since the last epoch
  std::size_t in_use = 0;
  std::size_t faulted = 0;

  void take(std::size_t bytes) {
    for (std::size_t done = 0; done < bytes; done += step) {
      in_use += step;
      if (held == 0) {
        faulted += step;
        bound.note_fresh(step, in_use);
      } else {
        set_held(held - std::min(step, held));
      }
      note_activity();
    }
  }
  void free(std::size_t bytes) {
    for (std::size_t done = 0; done < bytes; done += step) {
      in_use -= step;
      held += step;
      note_activity();
      settle(bound.slack(bound.bytes(in_use)));
    }
  }
  void note_activity() {
    if (!bound.note_activity(step, held, in_use)) return;
    bound.end_epoch(held, old, in_use);
    settle(0);
    old = held;
  }
  void settle(std::size_t slack) {
    const std::size_t most = bound.bytes(in_use);
    if (held <= most) return;
    bound.note_given_back(held - (most - slack), in_use);
    set_held(most - slack);
  }
  void set_held(std::size_t bytes) {
    held = bytes;
    old = std::min(old, bytes);
  }
};

}  // namespace

TEST_CASE("bound: a fixed bound stays", "[returns][bound]") {
  reserve<arena_config{.reserve_floor_bytes = 3 * MiB, .reserve_ceiling_bytes = 3 * MiB}> fixed;
  fixed.take(100 * MiB);
  CHECK(fixed.bound.bytes(fixed.in_use) == 3 * MiB);
  for (int n = 0; n < 5; ++n) {
    fixed.free(50 * MiB);
    CHECK(fixed.held == 3 * MiB);
    fixed.take(50 * MiB);
  }
  CHECK(fixed.bound.bytes(0) == 3 * MiB);
  CHECK(reserve_bound<arena_config{.reserve_ceiling_bytes = 0}>{}.bytes(1 * MiB) == 0);
}

TEST_CASE("bound: what is built and taken down again and again stays after a few rounds", "[returns][bound]") {
  reserve<adapting> cycle;
  for (int n = 0; n < 8; ++n) {
    cycle.take(10 * MiB);
    cycle.free(10 * MiB);
  }
  const std::size_t before = cycle.faulted;
  for (int n = 0; n < 50; ++n) {
    cycle.take(10 * MiB);
    cycle.free(10 * MiB);
  }
  CHECK(cycle.faulted - before <= 5 * MiB);  // of 500
  CHECK(cycle.held <= 11 * MiB);
}

TEST_CASE("bound: a spike goes back while it is freed", "[returns][bound]") {
  reserve<adapting> spike;
  spike.take(256 * MiB);
  spike.free(250 * MiB);
  CHECK(spike.held <= 1 * MiB);
  CHECK(spike.held >= 512 * KiB);
}

TEST_CASE("bound: churn at the height of a spike keeps nothing of it when it is over", "[returns][bound]") {
  reserve<adapting> spike;
  spike.take(200 * MiB);
  for (int n = 0; n < 20; ++n) {
    spike.free(12 * MiB);
    spike.take(12 * MiB);
  }
  CHECK(spike.bound.bytes(spike.in_use) > 8 * MiB);
  spike.free(198 * MiB);
  CHECK(spike.held <= 2 * MiB);
}

TEST_CASE("bound: what lies unused while the program does something else goes back", "[returns][bound]") {
  reserve<adapting> idle;
  for (int n = 0; n < 20; ++n) {
    idle.take(12 * MiB);
    idle.free(12 * MiB);
  }
  const std::size_t before = idle.held;
  REQUIRE(before > 8 * MiB);
  for (int n = 0; n < 2000; ++n) {
    idle.take(256 * KiB);
    idle.free(256 * KiB);
  }
  CHECK(idle.held <= 2 * MiB);
}

TEST_CASE("bound: the ceiling rises with what is in use", "[returns][bound]") {
  reserve<adapting> large;
  large.take(360 * MiB);
  for (int n = 0; n < 50; ++n) {
    large.free(200 * MiB);
    CHECK(large.held <= 20 * MiB);
    large.take(200 * MiB);
  }
  large.free(200 * MiB);
  CHECK(large.held > 16 * MiB);
  large.free(160 * MiB);
  CHECK(large.held <= 16 * MiB);
  CHECK(large.bound.bytes(0) <= 16 * MiB);
}

TEST_CASE("bound: memory that nobody had is not regretted", "[returns][bound]") {
  reserve<adapting> growing;
  growing.take(500 * MiB);
  CHECK(growing.bound.bytes(growing.in_use) == 1 * MiB);
}

// SPDX-License-Identifier: BSL-1.0
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
      settle();
    }
  }
  void note_activity() {
    if (!bound.note_activity(step, held, in_use)) return;
    bound.end_epoch(held, old, in_use);
    settle();
    old = held;
  }
  void settle() {
    const std::size_t most = bound.bytes(in_use);
    if (held <= most) return;
    bound.note_given_back(held - most, in_use);
    set_held(most);
  }
  void set_held(std::size_t bytes) {
    held = bytes;
    old = std::min(old, bytes);
  }
};

/// A bound of which a test says step by step what happens.
struct stepwise : reserve_bound<adapting> {
  /// Two epochs have gone by, with so much in use.
  explicit stepwise(std::size_t in_use_bytes) {
    for (int n = 0; n < 2; ++n) end_epoch(0, 0, in_use_bytes);
  }
  void regret(std::size_t bytes, std::size_t given_back_at, std::size_t taken_at) {
    note_given_back(bytes, given_back_at);
    note_fresh(bytes, taken_at);
  }
  /// The bound becomes 9 MiB from the stage of `low` to that of `high`, and 8 MiB are kept when the epoch ends.
  void raise(std::size_t low, std::size_t high) {
    regret(8 * MiB, high, low);
    end_epoch(8 * MiB, 8 * MiB, high);
  }
  /// Epochs in which nothing happens; the bound is lowered at the end of the fourth after one in which memory was
  /// missed.
  void calm(int epochs, std::size_t in_use_bytes) {
    for (int n = 0; n < epochs; ++n) end_epoch(8 * MiB, 8 * MiB, in_use_bytes);
  }
};
/// What is left of 9 MiB when 8 were never used: those go, but for a quarter of the bound.
constexpr std::size_t lowered = 9 * MiB - (8 * MiB - 9 * MiB / 4);

}  // namespace

TEST_CASE("reserve_bound: a fixed bound stays", "[reserve_bound]") {
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

TEST_CASE("reserve_bound: what is built and taken down again and again stays after a few rounds", "[reserve_bound]") {
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

TEST_CASE("reserve_bound: a spike goes back while it is freed", "[reserve_bound]") {
  reserve<adapting> spike;
  spike.take(256 * MiB);
  spike.free(250 * MiB);
  CHECK(spike.held == 1 * MiB);
}

TEST_CASE("reserve_bound: churn at the height of a spike keeps nothing of it when it is over", "[reserve_bound]") {
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

TEST_CASE("reserve_bound: what lies unused while the program does something else goes back", "[reserve_bound]") {
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

TEST_CASE("reserve_bound: the ceiling rises with what is in use", "[reserve_bound]") {
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

TEST_CASE("reserve_bound: memory that nobody had is not regretted", "[reserve_bound]") {
  reserve<adapting> growing;
  growing.take(500 * MiB);
  CHECK(growing.bound.bytes(growing.in_use) == 1 * MiB);
  reserve_bound<adapting> bound;
  bound.note_given_back(8 * MiB, 0);
  bound.note_fresh(4 * MiB, 0);
  CHECK(bound.bytes(0) == 5 * MiB);
  bound.note_fresh(100 * MiB, 0);
  CHECK(bound.bytes(0) == 9 * MiB);  // no more than was given back
}

TEST_CASE("reserve_bound: regret counts for the stages between giving back and taking again", "[reserve_bound]") {
  stepwise bound{1 * MiB};
  const auto verify = [&](std::size_t highest_raised) {
    CHECK(bound.bytes(512 * KiB) == 1 * MiB);
    CHECK(bound.bytes(1 * MiB) == 5 * MiB);
    for (std::size_t in_use = 2 * MiB; in_use <= 256 * MiB; in_use *= 2) {
      CHECK(bound.bytes(in_use) == (in_use <= highest_raised ? 5 * MiB : 1 * MiB));
    }
  };
  SECTION("the highest at which memory was given back counts") {
    bound.note_given_back(2 * MiB, 64 * MiB);
    bound.note_given_back(2 * MiB, 2 * MiB);
    bound.note_fresh(4 * MiB, 1 * MiB);
    verify(64 * MiB);
  }
  SECTION("in the epoch before, too") {
    bound.note_given_back(4 * MiB, 64 * MiB);
    bound.end_epoch(0, 0, 1 * MiB);
    bound.note_fresh(4 * MiB, 1 * MiB);
    verify(64 * MiB);
  }
  SECTION("but not earlier") {
    bound.note_given_back(4 * MiB, 64 * MiB);
    bound.end_epoch(0, 0, 1 * MiB);
    bound.end_epoch(0, 0, 1 * MiB);
    bound.note_fresh(4 * MiB, 1 * MiB);
    CHECK(bound.bytes(1 * MiB) == 1 * MiB);
    bound.regret(4 * MiB, 2 * MiB, 1 * MiB);
    verify(2 * MiB);
  }
}

TEST_CASE("reserve_bound: the ceiling is that of what is in use, and regret never lowers a bound", "[reserve_bound]") {
  stepwise bound{160 * MiB};
  bound.regret(100 * MiB, 160 * MiB, 160 * MiB);
  CHECK(bound.bytes(160 * MiB) == 20 * MiB);
  CHECK(bound.bytes(128 * MiB) == 16 * MiB);  // the same stage
  bound.regret(1 * MiB, 128 * MiB, 128 * MiB);
  CHECK(bound.bytes(160 * MiB) == 20 * MiB);
}

TEST_CASE("reserve_bound: what was never used in four calm epochs goes, but for a margin", "[reserve_bound]") {
  stepwise bound{2 * MiB};
  bound.raise(2 * MiB, 2 * MiB);
  bound.calm(3, 2 * MiB);
  CHECK(bound.bytes(2 * MiB) == 9 * MiB);
  SECTION("all of it was there and old") {
    bound.calm(1, 2 * MiB);
    CHECK(bound.bytes(2 * MiB) == lowered);
  }
  SECTION("there was less of it for a moment") {
    bound.note_activity(1, 3 * MiB, 2 * MiB);
    bound.calm(1, 2 * MiB);
    CHECK(bound.bytes(2 * MiB) == lowered + 5 * MiB);
  }
  SECTION("less of it was old") {
    bound.end_epoch(8 * MiB, 3 * MiB, 2 * MiB);
    CHECK(bound.bytes(2 * MiB) == lowered + 5 * MiB);
  }
  SECTION("what was there is no more than the margin") {
    bound.end_epoch(8 * MiB, 2 * MiB, 2 * MiB);
    CHECK(bound.bytes(2 * MiB) == 9 * MiB);
  }
}

TEST_CASE("reserve_bound: calm lowers the stages of this epoch and the one before", "[reserve_bound]") {
  stepwise bound{1 * MiB};
  bound.raise(1 * MiB, 16 * MiB);
  bound.calm(2, 16 * MiB);
  SECTION("where it ends") {
    bound.calm(2, 16 * MiB);
    CHECK(bound.bytes(8 * MiB) == 9 * MiB);
  }
  SECTION("where it was in this one") {
    bound.calm(1, 16 * MiB);
    bound.note_activity(1, 8 * MiB, 2 * MiB);
    bound.calm(1, 16 * MiB);
    CHECK(bound.bytes(2 * MiB) == lowered);
    CHECK(bound.bytes(8 * MiB) == lowered);
  }
  SECTION("where it was in the one before") {
    bound.note_activity(1, 8 * MiB, 2 * MiB);
    bound.calm(2, 16 * MiB);
    CHECK(bound.bytes(2 * MiB) == lowered);
  }
  CHECK(bound.bytes(16 * MiB) == lowered);
  CHECK(bound.bytes(1 * MiB) == 9 * MiB);
}

TEST_CASE("reserve_bound: no stage is lowered below the floor", "[reserve_bound]") {
  stepwise bound{16 * MiB};
  bound.raise(16 * MiB, 16 * MiB);
  bound.calm(3, 16 * MiB);
  bound.note_activity(1, 8 * MiB, 1 * MiB);
  bound.calm(1, 16 * MiB);
  CHECK(bound.bytes(16 * MiB) == lowered);
  for (const std::size_t in_use : {1u, 2u, 4u, 8u}) CHECK(bound.bytes(in_use * MiB) == 1 * MiB);
}

TEST_CASE("reserve_bound: a few faults are no reason to keep what is not used", "[reserve_bound]") {
  stepwise bound{2 * MiB};
  bound.raise(2 * MiB, 2 * MiB);
  const auto regret_some = [&](std::size_t in_so_many) {
    for (int n = 0; n < 4; ++n) {
      bound.note_activity(in_so_many * 64 * KiB, 8 * MiB, 2 * MiB);
      bound.regret(64 * KiB, 2 * MiB, 2 * MiB);
      bound.calm(1, 2 * MiB);
    }
  };
  regret_some(511);
  CHECK(bound.bytes(2 * MiB) == 9 * MiB + 256 * KiB);
  regret_some(512);
  CHECK(bound.bytes(2 * MiB) < 4 * MiB);
}

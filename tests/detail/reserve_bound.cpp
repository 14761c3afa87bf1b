// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/reserve_bound.hpp>

#include "catch.hpp"

using namespace miniheap;
using namespace miniheap::detail;

namespace {

constexpr arena_config adapting{
    .reserve_floor_bytes = 1 * MiB, .reserve_ceiling_bytes = 16 * MiB, .reserve_ceiling_share = 8};

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
  /// The bound rises by 8 MiB, to 9 the first time, from the stage of `low` to that of `high`, and 8 MiB are kept when
  /// the epoch ends.
  void raise(std::size_t low, std::size_t high) {
    regret(4 * MiB, high, low);
    end_epoch(8 * MiB, 8 * MiB, high);
  }
  /// Epochs in which nothing happens; at first the bound is lowered at the end of the fourth after one in which memory
  /// was missed.
  void calm(int epochs, std::size_t in_use_bytes) {
    for (int n = 0; n < epochs; ++n) end_epoch(8 * MiB, 8 * MiB, in_use_bytes);
  }
  /// How many such epochs it takes until the bound is lowered, by a little.
  int calm_until_lowered(std::size_t in_use_bytes) {
    const std::size_t before = bytes(in_use_bytes);
    const std::size_t held = before / 4 + 256 * KiB;  // more than the margin
    int epochs = 0;
    for (; bytes(in_use_bytes) == before && epochs < 1000; ++epochs) end_epoch(held, held, in_use_bytes);
    return epochs;
  }
  /// An epoch is over, with so much activity.
  void be_active(std::size_t bytes, std::size_t in_use_bytes) {
    note_activity(bytes, 0, in_use_bytes);
    end_epoch(0, 0, in_use_bytes);
  }
};
/// What is left of 9 MiB when 8 were never used: those go, but for a quarter of the bound.
constexpr std::size_t lowered = 9 * MiB - (8 * MiB - 9 * MiB / 4);

}  // namespace

TEST_CASE("reserve_bound: what is faulted in at a part of the cost raises it by such a part, and is forgotten",
          "[reserve_bound]") {
  reserve_bound<adapting> bound;
  bound.note_given_back(4 * MiB, 0);
  bound.note_fresh(2 * MiB, 0, 4);
  CHECK(bound.bytes(0) == 2 * MiB);
  bound.note_fresh(100 * MiB, 0);
  CHECK(bound.bytes(0) == 6 * MiB);
}

TEST_CASE("reserve_bound: rises by twice what is regretted, and that is no more than was given back",
          "[reserve_bound]") {
  reserve_bound<adapting> bound;
  bound.note_given_back(4 * MiB, 0);
  bound.note_fresh(1 * MiB, 0);
  CHECK(bound.bytes(0) == 3 * MiB);
  bound.note_fresh(100 * MiB, 0);
  CHECK(bound.bytes(0) == 9 * MiB);
  bound.note_fresh(100 * MiB, 0);
  CHECK(bound.bytes(0) == 9 * MiB);
}

TEST_CASE("reserve_bound: what was given back is forgotten at a 1024th of activity, whatever the epochs",
          "[reserve_bound]") {
  stepwise bound{1 * MiB};
  bound.note_given_back(4 * MiB, 1 * MiB);
  SECTION("it is regretted many epochs later") {
    for (int n = 0; n < 1000; ++n) bound.be_active(1023, 1 * MiB);  // too little to forget anything
    bound.note_fresh(4 * MiB, 1 * MiB);
    CHECK(bound.bytes(1 * MiB) == 9 * MiB);
  }
  SECTION("a part of it is forgotten") {
    for (int n = 0; n < 24; ++n) bound.be_active(128 * MiB, 1 * MiB);
    bound.note_fresh(4 * MiB, 1 * MiB);
    CHECK(bound.bytes(1 * MiB) == 3 * MiB);  // 1 MiB was left
  }
  SECTION("all of it is forgotten") {
    bound.be_active(4096 * MiB, 1 * MiB);
    bound.note_fresh(4 * MiB, 1 * MiB);
    CHECK(bound.bytes(1 * MiB) == 1 * MiB);
    bound.note_given_back(1 * MiB, 1 * MiB);  // and none is owed
    bound.note_fresh(4 * MiB, 1 * MiB);
    CHECK(bound.bytes(1 * MiB) == 3 * MiB);
  }
}

TEST_CASE("reserve_bound: the bound is lowered later where memory is missed after it was, and sooner where it is not",
          "[reserve_bound]") {
  stepwise bound{2 * MiB};
  for (int n = 0; n < 3; ++n) bound.raise(2 * MiB, 2 * MiB);  // that it is missed does not count before it is lowered
  CHECK(bound.calm_until_lowered(2 * MiB) == 4);
  for (const int epochs : {8, 16, 32, 64, 64}) {
    bound.raise(2 * MiB, 2 * MiB);
    CHECK(bound.calm_until_lowered(2 * MiB) == epochs);
  }
  for (const int epochs : {64, 32, 16, 8, 4, 4}) CHECK(bound.calm_until_lowered(2 * MiB) == epochs);
  bound.raise(2 * MiB, 2 * MiB);
  CHECK(bound.calm_until_lowered(2 * MiB) == 8);
}

TEST_CASE("reserve_bound: at the floor nothing is lowered, and so nothing learned of when to", "[reserve_bound]") {
  stepwise bound{2 * MiB};
  bound.calm(20, 2 * MiB);
  bound.raise(2 * MiB, 2 * MiB);
  CHECK(bound.calm_until_lowered(2 * MiB) == 4);
}

TEST_CASE("reserve_bound: where nothing was given back, no stage is noted", "[reserve_bound]") {
  stepwise bound{1 * MiB};
  bound.note_given_back(4 * MiB, 1 * MiB);
  bound.note_given_back(0, 64 * MiB);
  bound.note_fresh(4 * MiB, 1 * MiB);
  CHECK(bound.bytes(1 * MiB) == 9 * MiB);
  CHECK(bound.bytes(64 * MiB) == 1 * MiB);
}

TEST_CASE("reserve_bound: no more is remembered than could have been kept", "[reserve_bound]") {
  stepwise bound{2 * MiB};
  bound.note_given_back(256 * MiB, 2 * MiB);
  bound.note_fresh(4 * MiB, 2 * MiB);
  REQUIRE(bound.bytes(2 * MiB) == 9 * MiB);
  for (int n = 0; n < 200; ++n) bound.be_active(64 * MiB, 2 * MiB);  // a 1024th of that is 12.5 MiB
  const std::size_t before = bound.bytes(2 * MiB);
  bound.note_fresh(4 * MiB, 2 * MiB);
  CHECK(bound.bytes(2 * MiB) == before);
}

TEST_CASE("reserve_bound: half of what was kept goes when the bound is reached, 1 MiB at most; none of a fixed one",
          "[reserve_bound]") {
  CHECK(reserve_bound<adapting>::slack(0) == 0);
  CHECK(reserve_bound<adapting>::slack(1 * MiB) == 512 * KiB);
  CHECK(reserve_bound<adapting>::slack(2 * MiB) == 1 * MiB);
  CHECK(reserve_bound<adapting>::slack(16 * MiB) == 1 * MiB);
  using fixed = reserve_bound<arena_config{.reserve_floor_bytes = 3 * MiB, .reserve_ceiling_bytes = 3 * MiB}>;
  CHECK(fixed::slack(3 * MiB) == 0);
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
    bound.note_given_back(1 * MiB, 64 * MiB);
    bound.note_given_back(1 * MiB, 2 * MiB);
    bound.note_fresh(2 * MiB, 1 * MiB);
    verify(64 * MiB);
  }
  SECTION("epochs ago, too") {
    bound.note_given_back(2 * MiB, 64 * MiB);
    for (int n = 0; n < 100; ++n) bound.end_epoch(0, 0, 1 * MiB);
    bound.note_fresh(2 * MiB, 1 * MiB);
    verify(64 * MiB);
  }
  SECTION("but not when all of that is forgotten") {
    bound.note_given_back(2 * MiB, 64 * MiB);
    bound.be_active(2048 * MiB, 1 * MiB);
    bound.regret(2 * MiB, 2 * MiB, 1 * MiB);
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
  regret_some(4095);
  CHECK(bound.bytes(2 * MiB) == 9 * MiB + 512 * KiB);
  regret_some(4096);
  CHECK(bound.bytes(2 * MiB) == 10 * MiB - (8 * MiB - 10 * MiB / 4));
}

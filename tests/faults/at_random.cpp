// SPDX-License-Identifier: BSL-1.0
// Calls to the page source fail at random, while the test of the model drives the arena.
#include "catch.hpp"
#include "environment.hpp"
#include "faults/combinations.hpp"
#include "faults/workload.hpp"

#include <iostream>

namespace {

/// Drives an arena over a source of which one call in `one_in` fails; how many calls there were.
std::uint64_t drive_failing(const faults::combination& combination, std::uint64_t one_in, std::uint64_t seed,
                            std::uint64_t operations) {
  const auto arena = combination.make();
  INFO(combination.name << ", one in " << one_in << ", seed " << seed);
  arena->fail_one_in(one_in, seed);
  REQUIRE(model::drive(*arena, seed, operations) == "");
  const std::uint64_t calls = arena->calls();
  arena->release();
  arena->never_fail();
  arena->release();
  CHECK(arena->source_mapped_bytes() == 0);
  faults::workload work{*arena};  // as good as new
  REQUIRE_NOTHROW(work.run(12));
  CHECK(work.refusals() == 0);
  return calls;
}

}  // namespace

TEST_CASE("faults: calls fail at random", "[faults]") {
  const auto combinations = faults::all_combinations();
  const std::uint64_t operations = wanted_operations() / 10 / combinations.size() + 1;
  std::uint64_t calls = 0;
  for (const auto& combination : combinations) calls += drive_failing(combination, 100, 20050607, operations);
  std::cout << operations * combinations.size() << " random operations survived with 1 % of " << calls
            << " page-source calls failing" << std::endl;
  for (const auto& combination : combinations) drive_failing(combination, 3, 7, operations / 10 + 1);
}

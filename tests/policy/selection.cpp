// SPDX-License-Identifier: BSL-1.0
#include <miniheap/policy/selection.hpp>

#include "catch.hpp"

#include <algorithm>
#include <vector>

using namespace miniheap;

namespace {

/// Every combination of a few levels, addresses and sequences.
std::vector<occupancy> some() {
  std::vector<occupancy> all;
  for (const unsigned level : {0u, 1u, 9u, 16u}) {
    for (const std::uintptr_t address : {0x10000u, 0x20000u, 0x90000u}) {
      for (const std::uint64_t sequence : {1u, 2u, 40u}) all.push_back({level, address, sequence});
    }
  }
  return all;
}

template <class Selection>
occupancy first_of(std::vector<occupancy> all) {
  return *std::min_element(all.begin(), all.end(),
                           [](const auto& a, const auto& b) { return Selection::before(a, b); });
}

}  // namespace

TEMPLATE_TEST_CASE("selection: each policy is a strict weak order", "[selection]", fullest_first, lowest_address_first,
                   emptiest_first, newest_first) {
  const auto before = [](const occupancy& a, const occupancy& b) { return TestType::before(a, b); };
  const auto equal = [&](const occupancy& a, const occupancy& b) { return !before(a, b) && !before(b, a); };
  const std::vector<occupancy> all = some();
  for (const occupancy& a : all) {
    if (before(a, a)) FAIL("before itself");
    for (const occupancy& b : all) {
      if (before(a, b) && before(b, a)) FAIL("before each other");
      for (const occupancy& c : all) {
        if (before(a, b) && before(b, c) && !before(a, c)) FAIL("not transitive");
        if (equal(a, b) && equal(b, c) && !equal(a, c)) FAIL("equivalence is not transitive");
      }
    }
  }
}

TEST_CASE("selection: each policy chooses what its name says", "[selection]") {
  const std::vector<occupancy> all = some();
  CHECK(first_of<fullest_first>(all).level == 16);
  CHECK(first_of<fullest_first>(all).address == 0x10000);
  CHECK(first_of<emptiest_first>(all).level == 0);
  CHECK(first_of<emptiest_first>(all).address == 0x10000);
  CHECK(first_of<lowest_address_first>(all).address == 0x10000);
  CHECK(first_of<newest_first>(all).sequence == 40);
}

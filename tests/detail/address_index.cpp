// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/address_index.hpp>
#include <miniheap/detail/page_supply.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/config.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include <iterator>
#include <set>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

constexpr std::size_t miniheap_bytes = 64 * KiB;
using supply = page_supply<failing_source<counting_source<>>>;
using index_type = address_index<miniheap_bytes>;

std::size_t mapped(supply& s) { return s.source().inner().counts().mapped_bytes; }

/// Inserts and erases around a wanted size, out of `addresses` different addresses, `stride` miniheaps apart.
void like_a_set(std::size_t most, std::uintptr_t addresses, std::uintptr_t stride, int steps, std::uint64_t seed) {
  supply s{failing_source<counting_source<>>{}};
  index_type index;
  std::set<std::uintptr_t> expected;
  random_numbers random{seed};
  const auto any = [&] { return (1 + random.below(addresses)) * stride * miniheap_bytes; };
  for (int n = 0; n < steps; ++n) {
    const std::uintptr_t base = any();
    const bool is_growing = expected.size() < most && (n / 1000) % 2 == 0;
    if (expected.count(base) == 0 && (is_growing || random.one_in(3))) {
      REQUIRE(index.reserve(s));
      index.insert(base);
      expected.insert(base);
    } else if (!expected.empty()) {
      const auto it = expected.lower_bound(base);
      const auto gone = it == expected.end() ? expected.begin() : it;
      index.erase(*gone);
      expected.erase(gone);
    }
    REQUIRE(index.size() == expected.size());
    REQUIRE(index.mapped_bytes() == mapped(s));
    for (int looks = 0; looks < 4; ++looks) {
      const std::uintptr_t asked = any();
      if (index.contains(asked) != (expected.count(asked) != 0)) FAIL(asked << " after " << n << " steps");
    }
    if (n % 256 == 0) {
      for (const std::uintptr_t in : expected) {
        if (!index.contains(in)) FAIL(in << " is lost after " << n << " steps");
      }
    }
  }
  CHECK(!index.contains(0));
  index.release(s);
  CHECK(index.size() == 0);
  CHECK(mapped(s) == 0);
  for (const std::uintptr_t gone : expected) CHECK(!index.contains(gone));
}

}  // namespace

TEST_CASE("address_index: the same as a set", "[address_index]") {
  like_a_set(7, 20, 1, 5000, 1);              // in the index itself
  like_a_set(200, 1000, 1, 20000, 2);         // one mapping
  like_a_set(3000, 100000, 1, 40000, 3);      // several, one after the other
  like_a_set(300, 1000, 1u << 16, 10000, 4);  // addresses far apart
}

TEST_CASE("address_index: nothing changes when there is no memory to grow into", "[address_index]") {
  supply s{failing_source<counting_source<>>{}};
  index_type index;
  std::uintptr_t inserted = 0;
  int refused = 0;
  while (inserted < 2000) {
    if (s.source().calls() % 3 != 1) s.source().fail_at(1);
    if (!index.reserve(s)) {
      ++refused;
      REQUIRE(index.mapped_bytes() == mapped(s));
      for (std::uintptr_t n = 1; n <= inserted; n += 17) REQUIRE(index.contains(n * miniheap_bytes));
      s.source().never_fail();
      REQUIRE(index.reserve(s));
    }
    s.source().never_fail();
    index.insert(++inserted * miniheap_bytes);
  }
  CHECK(refused >= 2);
  index.release(s);
  CHECK(mapped(s) == 0);
}

TEST_CASE("address_index: a table that the page source will not take goes back later", "[address_index]") {
  supply s{failing_source<counting_source<>>{}};
  index_type index;
  std::uintptr_t inserted = 0;
  const auto grow_to = [&](std::uintptr_t size) {
    while (inserted < size) {
      REQUIRE(index.reserve(s));
      index.insert(++inserted * miniheap_bytes);
    }
  };
  grow_to(256);
  s.source().fail_at(2);  // the first maps the larger table
  grow_to(257);
  CHECK(index.mapped_bytes() == mapped(s));
  const std::size_t with_both = mapped(s);
  grow_to(258);  // tries again
  CHECK(mapped(s) < with_both);
  CHECK(index.mapped_bytes() == mapped(s));
  s.source().fail_at(1);
  index.release(s);
  CHECK(mapped(s) != 0);
  CHECK(index.mapped_bytes() == mapped(s));
  index.release(s);
  CHECK(mapped(s) == 0);
}

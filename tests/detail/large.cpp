// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/large.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/config.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

constexpr std::size_t place_bytes = 64 * KiB;
using source = failing_source<counting_source<>>;
using supply = page_supply<source>;

/// As a store uses them, with a bound that does not change.
template <std::size_t LimitBytes>
struct bounded : large_mappings<place_bytes> {
  using base = large_mappings<place_bytes>;

  template <class Supply>
  void* allocate(Supply& s, std::size_t bytes, std::size_t alignment) noexcept {
    return base::allocate(s, bytes, alignment, LimitBytes);
  }
  template <class Supply>
  void deallocate(Supply& s, std::uintptr_t address) noexcept {
    base::deallocate(address);
    settle(s, LimitBytes);
  }
};
using mappings = bounded<0>;
using keeping = bounded<4 * place_bytes>;

/// Moves whatever is remapped, to an address that is aligned as asked for and no better.
struct moving_source : mmap_source {
  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes, std::size_t alignment) noexcept {
    auto* const wide = static_cast<std::byte*>(map(alignment + new_bytes, 2 * alignment));
    if (wide == nullptr) return nullptr;
    unmap(wide, alignment);
    std::memcpy(wide + alignment, p, std::min(old_bytes, new_bytes));
    unmap(p, old_bytes);
    return wide + alignment;
  }
};

/// Never takes back what starts at one address.
struct refusing_source : mmap_source {
  const void* refused = nullptr;
  bool unmap(void* p, std::size_t bytes) noexcept { return p != refused && mmap_source::unmap(p, bytes); }
};

template <class Mappings>
void require_valid(const Mappings& large, supply& s) {
  const check_result result = large.check();
  INFO((result ? "" : result.broken));
  REQUIRE(result);
  REQUIRE(large.live_bytes() + large.free_bytes() + large.metadata_bytes() == s.mapped_bytes());
}

}  // namespace

TEMPLATE_TEST_CASE("large: like a map from address to size, whatever the page source refuses", "[large]", mappings,
                   keeping) {
  supply s{source{}};
  TestType large;
  std::map<std::uintptr_t, std::size_t> expected;
  random_numbers random{1};
  const auto any = [&] {
    return std::next(expected.begin(), static_cast<std::ptrdiff_t>(random.below(expected.size())));
  };
  s.source().fail_one_in(6, 3);
  for (int n = 0; n < 1500; ++n) {
    const std::size_t bytes = random.between(std::size_t{1}, 5 * place_bytes);
    const std::size_t whole_bytes = pages_for(bytes) * page_bytes;
    const unsigned dice = random.below(10u);
    if (expected.empty() || (expected.size() < 40 && dice < 5)) {
      const std::size_t alignment = std::size_t{1} << random.between(0u, 19u);
      void* const p = large.allocate(s, bytes, alignment);
      if (p != nullptr) {
        REQUIRE(address_of(p) % alignment == 0);
        REQUIRE(address_of(p) % place_bytes == 0);
        REQUIRE(expected.emplace(address_of(p), whole_bytes).second);
      }
    } else if (dice < 8) {
      const auto it = any();
      large.deallocate(s, it->first);
      expected.erase(it);
    } else {
      const auto it = any();
      const std::size_t alignment = place_bytes << random.below(3u);
      if (void* const q = large.resize(s, it->first, bytes, alignment)) {
        expected.erase(it);
        expected.emplace(address_of(q), whole_bytes);
      }
    }
    require_valid(large, s);
    REQUIRE(large.count() == expected.size());
    std::map<std::uintptr_t, std::size_t> seen;
    large.for_each([&](const mapping_info& m) { seen.emplace(address_of(m.address), m.bytes); });
    REQUIRE(seen == expected);
    for (const auto& [address, size] : expected) {
      if (large.bytes_at(address) != size || large.bytes_at(address + 4096) != 0) FAIL(address);
      if (!large.contains(address) || !large.contains(address + size - 1)) FAIL(address);
      const auto next = expected.upper_bound(address);
      if (large.contains(address + size) && (next == expected.end() || next->first != address + size)) FAIL(address);
    }
  }
  s.source().never_fail();
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
  CHECK(large.count() == 0);
}

TEST_CASE("large: what cannot be unmapped is purged, counted, and tried again", "[large]") {
  supply s{source{}};
  mappings large;
  void* const p = large.allocate(s, 10 * place_bytes, 16);
  REQUIRE(p != nullptr);
  s.source().fail_at(1);
  large.deallocate(s, address_of(p));
  CHECK(large.free_bytes() == 10 * place_bytes);
  CHECK(large.live_bytes() == 0);
  CHECK(large.bytes_at(address_of(p)) == 0);
  CHECK(!large.contains(address_of(p)));
  CHECK(large.dirty_bytes() == 0);
  CHECK(s.source().inner().counts().purged_bytes == 10 * place_bytes);
  require_valid(large, s);

  void* const q = large.allocate(s, 100, 16);
  REQUIRE(q != nullptr);
  CHECK(large.last_fresh_bytes() == page_bytes);
  large.deallocate(s, address_of(q));  // tries again
  CHECK(large.free_bytes() == 0);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: what was freed serves the next that is about as long", "[large]") {
  supply s{source{}};
  keeping large;
  void* const p = large.allocate(s, 4 * place_bytes, 16);
  CHECK(large.is_last_fresh());
  large.deallocate(s, address_of(p));
  CHECK(large.free_bytes() == 4 * place_bytes);
  require_valid(large, s);

  void* const other = large.allocate(s, place_bytes, 16);  // would waste three times as much
  CHECK(other != p);
  CHECK(large.is_last_fresh());

  void* const q = large.allocate(s, 4 * place_bytes - 5000, 16);
  CHECK(q == p);
  CHECK_FALSE(large.is_last_fresh());
  CHECK(large.bytes_at(address_of(q)) == 4 * place_bytes - page_bytes);
  CHECK(large.free_bytes() == page_bytes);
  require_valid(large, s);
  CHECK(large.resize(s, address_of(q), 4 * place_bytes, 16) == q);  // into what is behind it
  CHECK(large.free_bytes() == 0);
  CHECK(large.resize(s, address_of(q), page_bytes, 16) == q);
  CHECK(large.free_bytes() == 0);  // the tail goes back at once
  require_valid(large, s);

  large.deallocate(s, address_of(q));
  void* const grown = large.allocate(s, 3 * place_bytes, 16);  // what is too short grows
  CHECK_FALSE(large.is_last_fresh());
  CHECK(large.free_bytes() == 0);
  CHECK(large.bytes_at(address_of(grown)) == 3 * place_bytes);
  CHECK(large.last_fresh_bytes() == 3 * place_bytes - page_bytes);
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: what was dropped behind an allocation is dirty again when it is used and freed", "[large]") {
  supply s{source{}};
  keeping large;
  large.deallocate(s, address_of(large.allocate(s, 4 * place_bytes, 16)));
  void* const p = large.allocate(s, 3 * place_bytes, 16);
  CHECK(large.dirty_bytes() == place_bytes);
  large.settle(s, 0);
  CHECK(large.dirty_bytes() == 0);
  CHECK(large.free_bytes() == place_bytes);
  require_valid(large, s);
  CHECK(large.resize(s, address_of(p), 4 * place_bytes - page_bytes, 16) == p);
  CHECK(large.dirty_bytes() == page_bytes);
  require_valid(large, s);
  large.settle(s, 0);
  large.deallocate(s, address_of(p));
  CHECK(large.dirty_bytes() == 4 * place_bytes);
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: no more than the reserve stays, the longest goes first", "[large]") {
  supply s{source{}};
  keeping large;
  void* const first = large.allocate(s, 3 * place_bytes, 16);
  void* const second = large.allocate(s, 2 * place_bytes, 16);
  void* const third = large.allocate(s, 5 * place_bytes, 16);
  large.deallocate(s, address_of(third));
  CHECK(large.free_bytes() == 0);
  large.deallocate(s, address_of(first));
  large.deallocate(s, address_of(second));
  CHECK(large.free_bytes() == 2 * place_bytes);
  large.trim(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: one mapping that is refused does not keep the others", "[large]") {
  page_supply<refusing_source> s{refusing_source{}};
  keeping large;
  std::vector<void*> all;
  for (std::size_t n = 20; n > 10; --n) all.push_back(large.allocate(s, n * place_bytes, 16));
  s.source().refused = all.front();
  for (void* const p : all) large.deallocate(s, address_of(p));
  CHECK(large.free_bytes() == 20 * place_bytes);
  s.source().refused = nullptr;
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: what is left over behind allocations fits the reserve, and goes with trim", "[large]") {
  supply s{source{}};
  keeping large;
  for (int n = 0; n < 20; ++n) {
    void* const p = large.allocate(s, 4 * place_bytes, 16);
    large.deallocate(s, address_of(p));
    REQUIRE(large.allocate(s, 2 * place_bytes + 1, 16) != nullptr);
    REQUIRE(large.free_bytes() <= 8 * place_bytes);
    require_valid(large, s);
  }
  const std::size_t before_bytes = s.source().inner().counts().purged_bytes;
  large.trim(s);
  CHECK(s.source().inner().counts().purged_bytes - before_bytes == large.free_bytes());
  CHECK(large.dirty_bytes() == 0);
  require_valid(large, s);
  large.release(s);
}

TEST_CASE("large: a failed request changes nothing", "[large]") {
  supply s{source{}};
  mappings large;
  for (const std::uint64_t call : {1u, 2u}) {  // the mapping of the records, the allocation's
    s.source().fail_at(call);
    CHECK(large.allocate(s, 1000, 16) == nullptr);
    CHECK(large.count() == 0);
    require_valid(large, s);
  }
  void* const p = large.allocate(s, 3 * place_bytes, 16);
  s.source().fail_at(1);
  CHECK(large.resize(s, address_of(p), 8 * place_bytes, 16) == nullptr);
  CHECK(large.bytes_at(address_of(p)) == 3 * place_bytes);
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: failing again and again takes no memory", "[large]") {
  supply s{source{}};
  mappings large;
  REQUIRE(large.allocate(s, 1000, 16) != nullptr);
  const std::size_t mapped_bytes = s.mapped_bytes();
  for (int n = 0; n < 2000; ++n) {
    s.source().fail_at(1);
    CHECK(large.allocate(s, 1000, 16) == nullptr);
  }
  CHECK(s.mapped_bytes() == mapped_bytes);
  large.release(s);
}

TEST_CASE("large: a mapping that is moved lies at a multiple of the largest alignment asked for", "[large]") {
  page_supply<moving_source> s{moving_source{}};
  mappings large;
  const auto made_at = [&](std::size_t alignment) {
    while (true) {
      void* const p = large.allocate(s, 16 * page_bytes, 16);
      if (address_of(p) % alignment == 0) return p;
    }
  };
  const std::size_t wide = 8 * place_bytes;
  void* p = large.resize(s, address_of(made_at(wide)), 32 * page_bytes, wide);
  CHECK(address_of(p) % wide == 0);
  p = large.resize(s, address_of(p), 48 * page_bytes, 16);
  CHECK(address_of(p) % place_bytes == 0);
  void* const q = large.allocate(s, 16 * page_bytes, wide);
  p = large.resize(s, address_of(q), 32 * page_bytes, 16);
  CHECK(address_of(p) % wide == 0);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

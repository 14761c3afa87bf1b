// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/large.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/config.hpp>
#include <miniheap/policy/buffer_source.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <map>
#include <type_traits>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

constexpr std::size_t unit_bytes = 64 * KiB;
using source = failing_source<counting_source<>>;
using supply = page_supply<source>;

/// As a store uses them, with a bound that does not change.
template <std::size_t LimitBytes>
struct bounded : large_allocations {
  template <class Supply>
  void deallocate(Supply& s, std::uintptr_t address) noexcept {
    large_allocations::deallocate(address);
    settle(s, LimitBytes);
  }
};
using none_kept = bounded<0>;
using some_kept = bounded<4 * unit_bytes>;

/// Gives nothing that lies side by side, and moves whatever is remapped, to an address that is aligned as asked for and
/// no better.
struct scattering_source : mmap_source {
  std::size_t least_alignment = 0;
  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    alignment = std::max(alignment, least_alignment);
    auto* const wide = static_cast<std::byte*>(mmap_source::map(bytes + 3 * alignment, 2 * alignment));
    if (wide == nullptr) return nullptr;
    unmap(wide, alignment);
    unmap(wide + alignment + bytes, 2 * alignment);
    return wide + alignment;
  }
  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes, std::size_t alignment) noexcept {
    void* const q = map(new_bytes, alignment);
    if (q == nullptr) return nullptr;
    std::memcpy(q, p, std::min(old_bytes, new_bytes));
    unmap(p, old_bytes);
    return q;
  }
};

/// Never takes back what ends at one address.
struct refusing_source : scattering_source {
  const std::byte* refused_end = nullptr;
  bool unmap(void* p, std::size_t bytes) noexcept {
    return static_cast<std::byte*>(p) + bytes != refused_end && mmap_source::unmap(p, bytes);
  }
};

void mark_ends(void* p, std::size_t bytes) {
  static_cast<char*>(p)[0] = 1;
  static_cast<char*>(p)[bytes - 1] = 1;
}

template <class Large, class Supply>
void require_valid(const Large& large, const Supply& s) {
  const check_result result = large.check();
  INFO((result ? "" : result.broken));
  REQUIRE(result);
  REQUIRE(large.live_bytes() + large.free_bytes() + large.metadata_bytes() == s.mapped_bytes());
}

}  // namespace

TEMPLATE_TEST_CASE("large: like a map from address to size, whatever the page source refuses", "[large]", none_kept,
                   some_kept) {
  supply s{source{}};
  TestType large;
  std::map<std::uintptr_t, std::size_t> expected;
  random_numbers random{1};
  const auto any = [&] {
    return std::next(expected.begin(), static_cast<std::ptrdiff_t>(random.below(expected.size())));
  };
  s.source().fail_one_in(6, 3);
  for (int n = 0; n < 1500; ++n) {
    const std::size_t bytes = random.between(std::size_t{1}, (random.below(8u) == 0 ? 80 : 5) * unit_bytes);
    const std::size_t whole_bytes = pages_for(bytes) * page_bytes;
    const unsigned dice = random.below(10u);
    if (expected.empty() || (expected.size() < 40 && dice < 5)) {
      const std::size_t alignment = std::size_t{1} << random.between(0u, 19u);
      void* const p = large.allocate(s, bytes, alignment, random.below(2u) == 0, random.below(huge_page_bytes));
      if (p != nullptr) {
        REQUIRE(address_of(p) % alignment == 0);
        REQUIRE(address_of(p) % page_bytes == 0);
        mark_ends(p, bytes);
        REQUIRE(expected.emplace(address_of(p), whole_bytes).second);
      }
    } else if (dice < 8) {
      const auto it = any();
      large.deallocate(s, it->first);
      expected.erase(it);
    } else {
      const auto it = any();
      const std::size_t old_bytes = it->second;
      mark_ends(reinterpret_cast<void*>(it->first), std::min(bytes, old_bytes));
      if (void* const q = large.resize(s, it->first, bytes, page_bytes, random.below(2u) == 0)) {
        const auto* const contents = static_cast<const char*>(q);
        REQUIRE((contents[0] == 1 && contents[std::min(bytes, old_bytes) - 1] == 1));
        mark_ends(q, whole_bytes);
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
      if (large.bytes_at(address) != size || (size > 4096 && large.bytes_at(address + 4096) != 0)) {
        FAIL(address);
      }
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

TEST_CASE("large: the next allocations are cut from what was freed", "[large]") {
  supply s{source{}};
  some_kept large;
  void* const p = large.allocate(s, 4 * unit_bytes, 16);
  CHECK(large.last_fresh_bytes() == 4 * unit_bytes);
  large.deallocate(s, address_of(p));
  CHECK(large.free_bytes() == 4 * unit_bytes);

  auto* const q = static_cast<std::byte*>(large.allocate(s, unit_bytes, 16));
  CHECK(q == p);
  CHECK(large.last_fresh_bytes() == 0);
  CHECK(large.free_bytes() == 3 * unit_bytes);
  require_valid(large, s);
  CHECK(large.allocate(s, unit_bytes, 16) == q + unit_bytes);
  CHECK(large.resize(s, address_of(q + unit_bytes), 2 * unit_bytes, 16) == q + unit_bytes);  // into what is behind it
  CHECK(large.free_bytes() == unit_bytes);
  require_valid(large, s);
  CHECK(large.resize(s, address_of(q + unit_bytes), 3 * unit_bytes, 16) == q + unit_bytes);
  CHECK(large.free_bytes() == 0);
  CHECK(large.resize(s, address_of(q + unit_bytes), page_bytes, 16) == q + unit_bytes);
  CHECK(large.free_bytes() == 0);  // what it shrinks by goes back at once
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: what is too short grows", "[large]") {
  supply s{source{}};
  some_kept large;
  large.deallocate(s, address_of(large.allocate(s, 3 * unit_bytes, 16)));
  const void* const grown = large.allocate(s, 5 * unit_bytes, 16);
  REQUIRE(grown != nullptr);
  CHECK(large.last_fresh_bytes() == 2 * unit_bytes);
  CHECK(large.free_bytes() == 0);
  require_valid(large, s);
  large.deallocate(s, address_of(grown));
  s.source().fail_at(1);  // then it is mapped
  REQUIRE(large.allocate(s, 6 * unit_bytes, 16) != nullptr);
  CHECK(large.last_fresh_bytes() == 6 * unit_bytes);
  CHECK(large.free_bytes() == 4 * unit_bytes);
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEMPLATE_TEST_CASE("large: what is short or purged does not grow", "[large]", some_kept, none_kept) {
  supply s{source{}};
  TestType large;
  const bool is_short = std::is_same_v<TestType, some_kept>;
  const void* const p = large.allocate(s, is_short ? unit_bytes - page_bytes : 4 * unit_bytes, 16);
  if (!is_short) s.source().fail_at(1);
  large.deallocate(s, address_of(p));
  const std::size_t idle_bytes = large.free_bytes();
  REQUIRE(idle_bytes != 0);
  REQUIRE(large.allocate(s, 5 * unit_bytes, 16) != nullptr);
  CHECK(large.last_fresh_bytes() == 5 * unit_bytes);
  CHECK(large.free_bytes() == idle_bytes);
  large.release(s);
}

TEST_CASE("large: what is mapped in huge pages starts with one, and ends with one where the rest is not too much",
          "[large]") {
  constexpr std::size_t most_rest_bytes = 1 * MiB;
  page_supply<scattering_source> s{scattering_source{}};
  bounded<16 * MiB> large;
  const auto allocate = [&](std::size_t bytes) {
    return static_cast<std::byte*>(large.allocate(s, bytes, 16, true, most_rest_bytes));
  };
  auto* const p = allocate(3 * MiB + 5);
  CHECK(address_of(p) % huge_page_bytes == 0);
  CHECK(large.last_fresh_bytes() == 3 * MiB + page_bytes);
  CHECK(large.free_bytes() == 1 * MiB - page_bytes);
  CHECK(allocate(1 * MiB - page_bytes) == p + 3 * MiB + page_bytes);  // the next ones are cut from the rest
  CHECK(large.free_bytes() == 0);

  CHECK(address_of(allocate(3 * MiB - 1)) % huge_page_bytes == 0);
  CHECK(large.free_bytes() == 1 * MiB);
  CHECK(address_of(allocate(3 * MiB - page_bytes)) % huge_page_bytes == 0);  // the rest would be a page more
  CHECK(address_of(allocate(4 * MiB)) % huge_page_bytes == 0);
  CHECK(large.free_bytes() == 1 * MiB);
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: neighbours that were freed serve one allocation, in any order", "[large]") {
  alignas(page_bytes) static std::byte memory[32 * unit_bytes];
  for (const std::array<std::size_t, 3> order : {std::array<std::size_t, 3>{0, 1, 2}, {2, 1, 0}, {0, 2, 1}}) {
    page_supply<buffer_source> s{buffer_source{memory, sizeof memory}};
    some_kept large;
    large.deallocate(s, address_of(large.allocate(s, page_bytes, 16)));  // the records are mapped
    std::vector<void*> all;
    for (int n = 0; n < 3; ++n) all.push_back(large.allocate(s, unit_bytes, 16));
    for (const std::size_t n : order) large.deallocate(s, address_of(all[n]));
    require_valid(large, s);
    REQUIRE(large.allocate(s, 3 * unit_bytes, 16) != nullptr);
    CHECK(large.last_fresh_bytes() == 0);
    large.release(s);
    CHECK(s.mapped_bytes() == 0);
  }
}

TEST_CASE("large: an aligned allocation leaves what is before and behind it", "[large]") {
  alignas(64 * page_bytes) static std::byte memory[512 * page_bytes];
  page_supply<buffer_source> s{buffer_source{memory + page_bytes, sizeof memory - page_bytes}};
  bounded<sizeof memory> large;
  void* const p = large.allocate(s, 100 * page_bytes, 16);
  large.deallocate(s, address_of(p));
  const auto* const q = static_cast<std::byte*>(large.allocate(s, 2 * page_bytes, 32 * page_bytes));
  CHECK(address_of(q) % (32 * page_bytes) == 0);
  CHECK(large.last_fresh_bytes() == 0);
  CHECK(large.free_bytes() == 98 * page_bytes);
  require_valid(large, s);
  CHECK(large.allocate(s, 90 * page_bytes, 32 * page_bytes) != nullptr);  // fits nowhere, for its alignment
  CHECK(large.last_fresh_bytes() == 90 * page_bytes);
  large.deallocate(s, address_of(q));
  CHECK(large.allocate(s, 100 * page_bytes, 16) == p);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: no more than the bound stays, the shortest goes first and the last one in part", "[large]") {
  page_supply<scattering_source> s{scattering_source{}};
  some_kept large;
  void* const first = large.allocate(s, 3 * unit_bytes, 16);
  void* const second = large.allocate(s, 2 * unit_bytes, 16);
  void* const third = large.allocate(s, 5 * unit_bytes, 16);
  large.deallocate(s, address_of(second));
  CHECK(large.free_bytes() == 2 * unit_bytes);
  large.deallocate(s, address_of(first));
  CHECK(large.free_bytes() == 4 * unit_bytes);
  large.deallocate(s, address_of(third));
  CHECK(large.free_bytes() == 4 * unit_bytes);
  require_valid(large, s);
  CHECK(large.allocate(s, 4 * unit_bytes, 16) == third);
  CHECK(large.free_bytes() == 0);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: one range that is refused does not keep the others", "[large]") {
  page_supply<refusing_source> s{refusing_source{}};
  none_kept large;
  std::vector<void*> all;
  for (std::size_t n = 20; n > 10; --n) all.push_back(large.allocate(s, n * unit_bytes, 16));
  s.source().refused_end = static_cast<std::byte*>(all.front()) + 20 * unit_bytes;
  for (void* const p : all) large.deallocate(s, address_of(p));
  CHECK(large.free_bytes() == 20 * unit_bytes);
  CHECK(large.dirty_bytes() == 0);
  require_valid(large, s);
  s.source().refused_end = nullptr;
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: the least that is dirty is what is left, not what is moved about", "[large]") {
  supply s{source{}};
  bounded<32 * unit_bytes> large;
  large.deallocate(s, address_of(large.allocate(s, 16 * unit_bytes, 16)));
  CHECK(large.take_least_dirty_bytes() == 0);
  large.deallocate(s, address_of(large.allocate(s, unit_bytes, 16)));
  CHECK(large.take_least_dirty_bytes() == 15 * unit_bytes);
  large.release(s);
}

TEST_CASE("large: a failed request changes nothing, however often", "[large]") {
  supply s{source{}};
  none_kept large;
  for (const std::uint64_t call : {1u, 2u}) {  // the mapping of the records, the allocation's
    s.source().fail_at(call);
    CHECK(large.allocate(s, 1000, 16) == nullptr);
    CHECK(large.count() == 0);
    require_valid(large, s);
  }
  void* const p = large.allocate(s, 3 * unit_bytes, 16);
  const std::size_t mapped_bytes = s.mapped_bytes();
  for (int n = 0; n < 1000; ++n) {
    s.source().fail_at(1);
    CHECK(large.resize(s, address_of(p), 8 * unit_bytes, 16) == nullptr);
    s.source().fail_at(1);
    CHECK(large.allocate(s, 1000, 16) == nullptr);
  }
  CHECK(large.bytes_at(address_of(p)) == 3 * unit_bytes);
  CHECK(s.mapped_bytes() == mapped_bytes);
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large: what is moved lies at a multiple of the largest alignment asked for", "[large]") {
  page_supply<scattering_source> s{scattering_source{}};
  none_kept large;
  const std::size_t wide = 8 * unit_bytes;
  void* p = large.allocate(s, 16 * page_bytes, wide);
  CHECK(address_of(p) % wide == 0);
  p = large.resize(s, address_of(p), 32 * page_bytes, 16);
  CHECK(address_of(p) % wide == 0);
  s.source().least_alignment = wide;
  p = large.allocate(s, 16 * page_bytes, 16);
  s.source().least_alignment = 0;
  p = large.resize(s, address_of(p), 32 * page_bytes, wide);
  CHECK(address_of(p) % wide == 0);
  p = large.resize(s, address_of(p), 48 * page_bytes, 16);
  CHECK(address_of(p) % wide == 0);
  require_valid(large, s);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

// SPDX-License-Identifier: BSL-1.0
// Large allocations when the page source refuses again and again.
#include <miniheap/detail/large.hpp>

#include "catch.hpp"

#include <miniheap/policy/buffer_source.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

/// Takes nothing back while it is stubborn, and cannot remap.
class stubborn_source {
 public:
  bool is_stubborn = false;

  void* map(std::size_t bytes, std::size_t alignment) noexcept { return inner_.map(bytes, alignment); }
  bool unmap(void* p, std::size_t bytes) noexcept { return !is_stubborn && inner_.unmap(p, bytes); }
  bool purge(void* p, std::size_t bytes) noexcept { return inner_.purge(p, bytes); }

 private:
  mmap_source inner_;
};

}  // namespace

TEST_CASE("large faults: of the ranges that were refused, one is tried again in each call", "[large]") {
  page_supply<counting_source<stubborn_source>> s{counting_source<stubborn_source>{}};
  large_allocations large;
  std::vector<void*> refused;
  for (std::size_t n = 0; n < 5; ++n) refused.push_back(large.allocate(s, 64 * KiB, 16));
  void* const longer = large.allocate(s, 1 * MiB, 16);
  s.source().inner().is_stubborn = true;
  const source_counts& counts = s.source().counts();
  for (void* const p : refused) {
    large.deallocate(address_of(p));
    const std::size_t before = counts.unmap_calls;
    large.settle(s, 0);
    CHECK(counts.unmap_calls <= before + 2);
    CHECK(large.dirty_bytes() == 0);
  }
  large.deallocate(address_of(longer));
  const std::size_t before = counts.unmap_calls;
  large.settle(s, 0);
  CHECK(counts.unmap_calls == before + 2);  // the first that was refused, and the longer one
  CHECK(counts.purged_bytes == 5 * 64 * KiB + 1 * MiB);
  CHECK(large.check());
  s.source().inner().is_stubborn = false;
  large.settle(s, 0);
  CHECK(large.free_bytes() == 0);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large faults: without memory for another record what is idle stays as it is", "[large]") {
  alignas(64 * page_bytes) static std::byte memory[1000 * page_bytes];
  const auto records_used_before = GENERATE(0u, 1u, 2u);  // the last may be missing for the first or the second cut
  page_supply<failing_source<buffer_source>> s{failing_source<buffer_source>{buffer_source{memory, sizeof memory}}};
  large_allocations large;
  const void* const whole = large.allocate(s, 900 * page_bytes, 16);
  large.deallocate(address_of(whole));
  s.source().fail_one_in(1, 1);
  std::vector<void*> all;
  while (all.size() < records_used_before) all.push_back(large.allocate(s, page_bytes, page_bytes));
  while (void* const p = large.allocate(s, page_bytes, 4 * page_bytes)) all.push_back(p);
  REQUIRE(all.size() < 200);  // not for lack of pages
  CHECK(large.check());
  for (const void* const p : all) large.deallocate(address_of(p));
  CHECK(large.check());
  CHECK(large.allocate(s, 900 * page_bytes, 16) == whole);
  s.source().never_fail();
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large faults: without memory for the record of what is left of a huge page nothing is left", "[large]") {
  // Memory for records is the first thing that is asked for, or there is enough; asked for second, it would be missing.
  const auto call = GENERATE(1u, 2u);
  int without_rest = 0;
  for (std::size_t records_used_before = 150; records_used_before < 250; ++records_used_before) {
    page_supply<failing_source<mmap_source>> s{failing_source<mmap_source>{mmap_source{}}};
    large_allocations large;
    for (std::size_t n = 0; n < records_used_before; ++n) REQUIRE(large.allocate(s, page_bytes, 16) != nullptr);
    s.source().fail_at(call);
    REQUIRE(large.allocate(s, 3 * MiB, 16, true, 1 * MiB) != nullptr);
    CHECK(large.check());
    if (large.free_bytes() == 0) ++without_rest;
    s.source().never_fail();
    large.release(s);
    REQUIRE(s.mapped_bytes() == 0);
  }
  CHECK(without_rest != 0);
}

TEST_CASE("large faults: without addresses for what is left of a huge page it is in huge pages all the same",
          "[large]") {
  const auto fails = GENERATE(1u, 2u);
  page_supply<failing_source<mmap_source>> s{failing_source<mmap_source>{mmap_source{}}};
  large_allocations large;
  REQUIRE(large.allocate(s, page_bytes, 16) != nullptr);
  s.source().fail_at(1, fails);
  const void* const p = large.allocate(s, 3 * MiB, 16, true, 1 * MiB);
  REQUIRE(p != nullptr);
  if (fails == 1) CHECK(address_of(p) % huge_page_bytes == 0);
  CHECK(large.free_bytes() == 0);
  CHECK(large.check());
  s.source().never_fail();
  large.release(s);
}

TEST_CASE("large faults: where there are no addresses for huge pages, it is mapped without", "[large]") {
  alignas(huge_page_bytes) static std::byte memory[2 * huge_page_bytes];
  page_supply<buffer_source> s{buffer_source{memory + page_bytes, sizeof memory - page_bytes}};
  large_allocations large;
  void* const p = large.allocate(s, 3 * MiB, 16, true, 1 * MiB);
  REQUIRE(p != nullptr);
  CHECK(address_of(p) % huge_page_bytes != 0);
  CHECK(large.free_bytes() == 0);
  CHECK(large.check());
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large faults: what cannot be unmapped is purged, counted, and tried again", "[large]") {
  page_supply<failing_source<counting_source<>>> s{failing_source<counting_source<>>{}};
  large_allocations large;
  void* const p = large.allocate(s, 10 * (64 * KiB), 16);
  REQUIRE(p != nullptr);
  s.source().fail_at(1);
  large.deallocate(address_of(p));
  large.settle(s, 0);
  CHECK(large.free_bytes() == 10 * (64 * KiB));
  CHECK(large.live_bytes() == 0);
  CHECK(large.bytes_at(address_of(p)) == 0);
  CHECK(!large.contains(address_of(p)));
  CHECK(large.dirty_bytes() == 0);
  CHECK(s.source().inner().counts().purged_bytes == 10 * (64 * KiB));
  CHECK(large.check());

  void* const q = large.allocate(s, 100, 16);
  REQUIRE(q == p);
  CHECK(large.last_fresh_bytes() == page_bytes);
  CHECK(large.check());
  CHECK(large.resize(s, address_of(q), (64 * KiB), 16) == q);
  CHECK(large.last_fresh_bytes() == (64 * KiB) - page_bytes);
  CHECK(large.dirty_bytes() == 0);
  CHECK(large.check());
  s.source().fail_at(1);
  CHECK(large.resize(s, address_of(q), page_bytes, 16) == q);  // what it shrinks by is idle
  CHECK(large.dirty_bytes() == (64 * KiB) - page_bytes);
  CHECK(large.check());
  large.deallocate(address_of(q));
  large.settle(s, 0);  // tries again
  CHECK(large.free_bytes() == 0);
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large faults: what was purged and what was not stay apart", "[large]") {
  alignas(page_bytes) static std::byte memory[32 * (64 * KiB)];
  page_supply<failing_source<buffer_source>> s{failing_source<buffer_source>{buffer_source{memory, sizeof memory}}};
  large_allocations large;
  large.deallocate(address_of(large.allocate(s, page_bytes, 16)));  // the records are mapped
  large.trim(s);
  auto* const p = static_cast<std::byte*>(large.allocate(s, (64 * KiB), 16));
  const auto* const q = static_cast<std::byte*>(large.allocate(s, 2 * (64 * KiB), 16));
  const auto* const r = static_cast<std::byte*>(large.allocate(s, (64 * KiB), 16));
  REQUIRE(q == p + (64 * KiB));
  REQUIRE(r == q + 2 * (64 * KiB));
  large.deallocate(address_of(q));
  s.source().fail_at(1);
  large.settle(s, 0);
  REQUIRE(large.dirty_bytes() == 0);
  large.deallocate(address_of(r));
  CHECK(large.dirty_bytes() == (64 * KiB));
  CHECK(large.resize(s, address_of(p), 2 * (64 * KiB), 16) == p);  // into a part of what was purged
  CHECK(large.dirty_bytes() == (64 * KiB));
  CHECK(large.free_bytes() == 2 * (64 * KiB));
  CHECK(large.check());
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("large faults: an end that can neither go back nor be described stays where it is", "[large]") {
  page_supply<failing_source<>> s{failing_source<>{}};
  large_allocations large;
  std::vector<void*> all;
  while (all.size() < 300) all.push_back(large.allocate(s, 2 * page_bytes, 16));
  const std::size_t metadata_bytes = large.metadata_bytes();
  s.source().fail_one_in(1, 1);
  std::size_t refused = 0;
  for (void* const p : all) {
    void* const shrunk = large.resize(s, address_of(p), page_bytes, 16);
    CHECK((shrunk == p || shrunk == nullptr));
    CHECK(large.bytes_at(address_of(p)) == (shrunk == p ? 1 : 2) * page_bytes);
    refused += shrunk == nullptr ? 1u : 0u;
  }
  CHECK(refused != 0);  // there was room for some records more, not for one each
  CHECK(large.metadata_bytes() == metadata_bytes);
  CHECK(large.live_bytes() == (all.size() + refused) * page_bytes);
  CHECK(large.check());
  s.source().never_fail();
  large.release(s);
  CHECK(s.mapped_bytes() == 0);
}

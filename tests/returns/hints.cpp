// SPDX-License-Identifier: BSL-1.0
// When an arena asks for pages to be populated, and for huge ones, and when it takes that back.
#include <miniheap/arena.hpp>

#include "catch.hpp"

#include <sys/mman.h>
#include <algorithm>
#include <array>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

/// Writes down what it is told.
struct hinted_source : mmap_source {
  std::size_t populated_bytes = 0;
  std::size_t longest_bytes = 0;
  std::size_t preferred = 0;
  std::size_t taken_back = 0;

  void populate(void* p, std::size_t bytes) noexcept {
    populated_bytes += bytes;
    if (bytes > longest_bytes) longest_bytes = bytes;
    mmap_source::populate(p, bytes);
  }
  void prefer_huge_pages(void*, std::size_t) noexcept { ++preferred; }
  void prefer_small_pages(void*, std::size_t) noexcept { ++taken_back; }
};

constexpr arena_config dense_early{.miniheap_bytes = 1 * MiB, .huge_pages_from_bytes = 3 * MiB};
constexpr arena_config never_dense{.miniheap_bytes = 1 * MiB, .huge_pages_from_bytes = 0};
template <arena_config Config>
using hinted_store = miniheap_store<hinted_source, first_fit, fullest_first, Config>;

template <class Store>
page_entry* take(Store& store, std::uint32_t pages) {
  page_entry* const first = store.take_span(store.all().first_with_span(pages), pages, 1);
  REQUIRE(first != nullptr);
  first->kind = page_kind::medium;
  return first;
}

}  // namespace

TEST_CASE("hints: what is about to be touched is populated with some that follow", "[hints]") {
  hinted_store<never_dense> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  for (int n = 0; n < 15; ++n) take(store, 1);
  CHECK(told.populated_bytes == 0);  // one page at a time, of a small arena
  for (int n = 0; n < 200; ++n) take(store, 1);
  CHECK(told.populated_bytes > 100 * page_bytes);
  CHECK(told.populated_bytes < 220 * page_bytes);
  CHECK(told.longest_bytes <= 16 * page_bytes);
  while (store.all().size() < 6) take(store, 1);
  CHECK(told.longest_bytes <= 65 * page_bytes);
  CHECK(told.populated_bytes <= 5 * 1 * MiB + 80 * page_bytes);  // no page twice
  CHECK(told.preferred == 0);
  CHECK(store.check());
}

TEST_CASE("hints: long spans are left to the program", "[hints]") {
  hinted_store<never_dense> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  page_entry* const first = take(store, 100);
  CHECK(told.populated_bytes == 0);
  store.all().give_span(*store.all().first_with_span(1), first);
  take(store, 50);  // was touched, for all that is known
  CHECK(told.populated_bytes == 0);
}

TEST_CASE("hints: what was purged up to the end is populated again", "[hints]") {
  hinted_store<never_dense> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  auto* const kept = take(store, 4);
  auto* const gone = take(store, 8);
  const std::size_t before_bytes = told.populated_bytes;
  store.all().give_span(*store.all().first_with_span(1), gone);
  take(store, 8);
  CHECK(told.populated_bytes == before_bytes);
  store.all().give_span(*store.all().first_with_span(1), kept + 4);
  CHECK(store.give_back(0) > 0);
  take(store, 8);
  CHECK(told.populated_bytes > before_bytes);
}

TEST_CASE("hints: a miniheap of which pages are purged is not to be in huge pages", "[hints]") {
  hinted_store<dense_early> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  std::vector<page_entry*> spans;
  while (store.all().size() < 8) spans.push_back(take(store, 1));
  for (std::size_t n = 0; n < spans.size(); n += 2) {
    auto& m = decltype(store)::descriptor::of(address_of(spans[n]));
    store.give_span(m, spans[n]);
    store.settle();
  }
  const std::size_t advised = static_cast<std::size_t>(told.preferred) - told.taken_back;
  std::size_t still = 0;
  store.all().for_each([&](const auto& m) {
    still += m.has_huge_pages ? 1 : 0;
    if (m.has_huge_pages) CHECK(m.dirty_pages() != 0);  // nothing of it was purged
  });
  CHECK(told.taken_back > 0);
  CHECK(still <= advised);  // one may be unmapped
  CHECK(store.check());
}

TEST_CASE("hints: a large arena's new miniheaps are to be in huge pages", "[hints]") {
  hinted_store<dense_early> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  while (store.all().size() < 3) take(store, 1);
  CHECK(told.preferred == 0);
  while (store.all().size() < 8) take(store, 1);
  CHECK(told.preferred == 5);
  const std::size_t before_bytes = told.populated_bytes;
  while (store.all().size() < 10) take(store, 1);
  CHECK(told.populated_bytes == before_bytes);  // a huge page is populated by one fault
}

TEST_CASE("hints: pages are populated ahead as far as half of what the reserve has room for", "[hints]") {
  constexpr arena_config small_reserve{
      .miniheap_bytes = 4 * MiB, .reserve_ceiling_bytes = 64 * KiB, .huge_pages_from_bytes = 0};
  hinted_store<small_reserve> store{hinted_source{}};
  for (int n = 0; n < 700; ++n) {
    take(store, 1);
    REQUIRE(store.reserve_bytes() <= 32 * KiB);
  }
  CHECK(store.supply().source().longest_bytes == 9 * page_bytes);
}

TEST_CASE("hints: dirty pages are not populated again", "[hints]") {
  hinted_store<never_dense> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  page_entry* const clean = take(store, 1);
  page_entry* const dirty = take(store, 20);
  take(store, 100);
  auto& m = *store.all().first_with_span(1);
  store.all().give_span(m, clean);
  REQUIRE(store.give_back(0) > 0);
  store.all().give_span(m, dirty);
  const std::size_t before_bytes = told.populated_bytes;
  REQUIRE(take(store, 1) == clean);
  CHECK(told.populated_bytes == before_bytes);
  CHECK(store.reserve_bytes() == 20 * page_bytes);
  CHECK(store.check());
}

TEST_CASE("hints: a large arena's new mappings are to be in huge pages", "[hints]") {
  hinted_store<dense_early> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  void* const small = store.allocate_large(1 * MiB, 16);
  for (int n = 0; n < 2; ++n) store.allocate_large(1 * MiB, 16);
  CHECK(told.preferred == 0);
  void* const p = store.allocate_large(256 * KiB, 16);
  CHECK(told.preferred == 1);
  store.deallocate_large(address_of(p));
  REQUIRE(store.allocate_large(256 * KiB, 16) == p);  // is as it was
  CHECK(told.preferred == 1);
  store.deallocate_large(address_of(small));
  CHECK(told.taken_back == 0);
}

TEST_CASE("hints: what is mapped for a large allocation that has a huge page is to be in them", "[hints]") {
  constexpr arena_config config{.miniheap_bytes = 1 * MiB, .reserve_floor_bytes = 16 * MiB};
  hinted_store<config> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  store.allocate_large(2 * MiB - page_bytes, 16);
  CHECK(told.preferred == 0);
  void* const p = store.allocate_large(2 * MiB, 16);
  CHECK(told.preferred == 1);
  store.deallocate_large(address_of(p));
  REQUIRE(store.allocate_large(2 * MiB, 16) == p);  // nothing of it is new
  CHECK(told.preferred == 1);
  store.resize_large(address_of(p), 3 * MiB, 16);  // what it grows by
  CHECK(told.preferred >= 2);
  hinted_store<never_dense> never{hinted_source{}};
  never.allocate_large(8 * MiB, 16);
  CHECK(never.supply().source().preferred == 0);
}

TEST_CASE("hints: what is to be in huge pages in part grows without a copy", "[hints]") {
  constexpr std::size_t bytes = 4 * MiB;
  miniheap_store<mmap_source, first_fit, fullest_first, arena_config{.huge_pages_from_bytes = 256 * MiB}> store{
      mmap_source{}};
  void* const p = store.allocate_large(bytes, 16);
  store.supply().prefer_small_pages(p, bytes / 2);  // to the kernel it is two mappings
  const void* const q = store.resize_large(address_of(p), 64 * MiB, 16);
  REQUIRE(q != nullptr);
  std::array<unsigned char, bytes / page_bytes> is_resident{};
  REQUIRE(::mincore(const_cast<void*>(q), bytes, is_resident.data()) == 0);
  CHECK(std::count(is_resident.begin(), is_resident.end(), 0) == bytes / page_bytes);  // nothing was read or written
  store.release();
}

TEMPLATE_TEST_CASE_SIG(
    "hints: the last huge page of a large allocation is whole if half of the reserve's room is enough", "[hints]",
    ((std::size_t Floor, check_level Level), Floor, Level), (2 * MiB - page_bytes, check_level::basic),
    (2 * MiB, check_level::basic), (16 * MiB, beneath_hardened)) {
  constexpr arena_config config{.miniheap_bytes = 1 * MiB, .reserve_floor_bytes = Floor, .checks = Level};
  constexpr bool is_whole = Floor >= 2 * MiB && Level == check_level::basic;
  hinted_store<config> store{hinted_source{}};
  void* const p = store.allocate_large(3 * MiB, 16);
  CHECK(store.supply().source().preferred == (Level == check_level::basic ? 1 : 0));  // guards would break them
  CHECK((Level != check_level::basic || address_of(p) % huge_page_bytes == 0));
  CHECK(store.reserve_bytes() == (is_whole ? 1 * MiB : 0));
  CHECK(store.allocate_large(3 * MiB, 16) != nullptr);
  CHECK(store.reserve_bytes() == (is_whole ? 1 * MiB : 0));  // there is room for one
  CHECK(store.check());
  store.release();
}

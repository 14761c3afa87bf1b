// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/miniheap_store.hpp>

#include "catch.hpp"

#include <miniheap/policy/fit.hpp>
#include <miniheap/policy/selection.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include <algorithm>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

using source = failing_source<counting_source<>>;
constexpr arena_config two_in_reserve{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 128 * KiB};
using store_type = miniheap_store<source, first_fit, fullest_first, two_in_reserve>;

struct used_store {
  /// A miniheap each, filled.
  explicit used_store(int miniheaps) {
    for (int n = 0; n < miniheaps; ++n) fill();
  }
  void fill() {
    page_entry* const first = store.take_span(store.all().first_with_span(15), 15, 1);
    REQUIRE(first != nullptr);
    first->kind = page_kind::medium;
    spans.push_back(first);
  }
  void empty_one() {
    auto& m = store_type::descriptor::of(address_of(spans.back()));
    store.give_span(m, spans.back());
    spans.pop_back();
    store.settle();
  }
  void verify() {
    const check_result result = store.check();
    INFO((result ? "" : result.broken));
    REQUIRE(result);
    REQUIRE(store.supply().mapped_bytes() == store.all().size() * 64 * KiB + store.metadata_bytes());
  }

  store_type store{source{}};
  std::vector<page_entry*> spans;
};

}  // namespace

TEST_CASE("miniheap_store: empty miniheaps stay up to the reserve", "[miniheap_store]") {
  used_store used{30};
  CHECK(used.store.all().size() == 30);
  while (!used.spans.empty()) {
    used.empty_one();
    used.verify();
    CHECK(used.store.all().empty_count() == std::min<std::size_t>(2, 30 - used.spans.size()));
  }
  used.fill();
  CHECK(used.store.all().size() == 2);  // of the reserve
  used.empty_one();
  const std::size_t mapped_bytes = used.store.supply().mapped_bytes();
  CHECK(mapped_bytes > 128 * KiB);
  used.store.trim();
  CHECK(used.store.supply().mapped_bytes() == 0);
}

TEST_CASE("miniheap_store: knows its miniheaps by their addresses", "[miniheap_store]") {
  used_store used{20};
  std::vector<std::uintptr_t> bases;
  for (page_entry* const span : used.spans) bases.push_back(align_down(address_of(span), 64 * KiB));
  for (const std::uintptr_t base : bases) CHECK(used.store.contains(base));
  used.store.release();
  for (const std::uintptr_t base : bases) CHECK(!used.store.contains(base));
  CHECK(used.store.supply().mapped_bytes() == 0);
}

TEST_CASE("miniheap_store: a miniheap that cannot be unmapped stays, empty and usable", "[miniheap_store]") {
  used_store used{12};
  used.store.supply().source().fail_at(5);
  used.store.release();
  used.spans.clear();
  CHECK(used.store.all().size() == 1);
  CHECK(used.store.all().empty_count() == 1);
  used.verify();
  used.fill();
  CHECK(used.store.all().size() == 1);
  used.verify();
  used.store.release();
  CHECK(used.store.supply().mapped_bytes() == 0);
}

TEST_CASE("miniheap_store: without memory there is no span, and nothing has changed", "[miniheap_store]") {
  used_store used{7};
  for (std::uint64_t call = 1; call <= 2; ++call) {  // the index, the miniheap; descriptors have room for one more
    used.store.supply().source().fail_at(call);
    page_entry* const first = used.store.take_span(nullptr, 3, 1);
    if (first != nullptr) {
      first->kind = page_kind::medium;
      continue;
    }
    CHECK(used.store.all().size() == used.spans.size());
    used.verify();
  }
  used.store.supply().source().never_fail();
  used.fill();
  used.verify();
}

TEST_CASE("miniheap_store: failing again and again takes no memory", "[miniheap_store]") {
  miniheap_store<limited_source<>, first_fit, fullest_first, two_in_reserve> store{
      limited_source<>{4 * 64 * KiB - 4096}};
  while (page_entry* const first = store.take_span(nullptr, 15, 1)) first->kind = page_kind::medium;
  REQUIRE(store.all().size() >= 2);
  const std::size_t mapped_bytes = store.supply().mapped_bytes();
  for (int n = 0; n < 200; ++n) CHECK(store.take_span(nullptr, 15, 1) == nullptr);
  CHECK(store.supply().mapped_bytes() == mapped_bytes);
  CHECK(store.check());
  store.release();
}

TEST_CASE("miniheap_store: purges what is dirty, once", "[miniheap_store]") {
  used_store used{3};
  const auto& counts = used.store.supply().source().inner().counts();
  auto& m = store_type::descriptor::of(address_of(used.spans.front()));
  used.store.give_span(m, used.spans.front(), 5);
  CHECK(used.store.reserve_bytes() == 10 * page_bytes);
  CHECK(used.store.give_back(4 * page_bytes) == 10 * page_bytes);  // all of the miniheap's
  CHECK(used.store.give_back(0) == 0);
  CHECK(counts.purged_bytes == 10 * page_bytes);
  used.store.give_span(m, used.spans.front(), 4);
  used.verify();
  used.store.supply().source().fail_at(1);
  CHECK(used.store.give_back(0) == 0);
  CHECK(used.store.reserve_bytes() == page_bytes);
  CHECK(used.store.give_back(0) == page_bytes);  // what failed is tried again
  CHECK(used.store.reserve_bytes() == 0);
  used.verify();
}

TEST_CASE("miniheap_store: the sparsest miniheap is purged first, an empty one goes before it", "[miniheap_store]") {
  used_store used{5};
  const auto give = [&](int which, std::uint32_t left) {
    auto& m = store_type::descriptor::of(address_of(used.spans[static_cast<std::size_t>(which)]));
    used.store.give_span(m, used.spans[static_cast<std::size_t>(which)], left);
    return &m;
  };
  const auto* const fuller = give(1, 12);
  const auto* const sparse = give(3, 2);
  const auto* const half = give(2, 7);
  CHECK(used.store.reserve_bytes() == 24 * page_bytes);
  CHECK(used.store.give_back(23 * page_bytes) == 13 * page_bytes);
  CHECK(sparse->dirty_pages() == 0);
  CHECK(half->dirty_pages() == 8);
  give(4, 0);
  CHECK(used.store.give_back(25 * page_bytes) == 64 * KiB);
  CHECK(used.store.all().size() == 4);
  CHECK(used.store.give_back(10 * page_bytes) == 8 * page_bytes);
  CHECK(half->dirty_pages() == 0);
  CHECK(fuller->dirty_pages() == 3);
  used.verify();
}

TEST_CASE("miniheap_store: one miniheap that is refused does not keep the others' pages", "[miniheap_store]") {
  used_store used{6};
  for (page_entry* const span : used.spans) {
    used.store.give_span(store_type::descriptor::of(address_of(span)), span, 10);
  }
  for (std::size_t left = 6; left > 1; --left) {
    used.store.supply().source().fail_at(1);
    used.store.give_back(0);
    CHECK(used.store.reserve_bytes() == 5 * page_bytes);  // of the first
    for (page_entry* const span : used.spans) {
      auto& m = store_type::descriptor::of(address_of(span));
      if (m.dirty_pages() == 0 && span->pages > 4) used.store.give_span(m, span, 4);
    }
    used.store.give_back(0);
    CHECK(used.store.reserve_bytes() == 0);
    used.verify();
    for (page_entry* const span : used.spans) {
      auto& m = store_type::descriptor::of(address_of(span));
      if (page_entry* const first = used.store.take_span(&m, 5, 1)) {
        first->kind = page_kind::medium;
        used.store.give_span(store_type::descriptor::of(address_of(first)), first);
      }
    }
    used.store.give_back(5 * page_bytes);
  }
}

TEST_CASE("miniheap_store: miniheaps and mappings share one bound", "[miniheap_store]") {
  used_store used{3};
  void* const p = used.store.allocate_large(100 * KiB, 16);
  REQUIRE(p != nullptr);
  used.store.deallocate_large(address_of(p));
  CHECK(used.store.reserve_bytes() == 100 * KiB);
  auto& m = store_type::descriptor::of(address_of(used.spans.front()));
  used.store.give_span(m, used.spans.front(), 1);
  used.store.settle();
  CHECK(used.store.reserve_bytes() == 56 * KiB);  // the mapping, which was more, went
  used.store.release();
  CHECK(used.store.supply().mapped_bytes() == 0);
}

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

TEST_CASE("miniheap_store: what is about to be touched is populated with some that follow", "[miniheap_store]") {
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

TEST_CASE("miniheap_store: long spans are left to the program", "[miniheap_store]") {
  hinted_store<never_dense> store{hinted_source{}};
  const hinted_source& told = store.supply().source();
  page_entry* const first = take(store, 100);
  CHECK(told.populated_bytes == 0);
  store.all().give_span(*store.all().first_with_span(1), first);
  take(store, 50);  // was touched, for all that is known
  CHECK(told.populated_bytes == 0);
}

TEST_CASE("miniheap_store: what was purged up to the end is populated again", "[miniheap_store]") {
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

TEST_CASE("miniheap_store: a large arena's new miniheaps are to be in huge pages", "[miniheap_store]") {
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

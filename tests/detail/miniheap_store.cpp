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
constexpr arena_config two_in_reserve{.miniheap_bytes = 64 * KiB, .reserve_bytes = 128 * KiB};
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
    store.all().give_span(m, spans.back());
    spans.pop_back();
    store.settle_empty(m);
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
  CHECK(used.store.trim() == 128 * KiB);
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

TEST_CASE("miniheap_store: purges free spans once", "[miniheap_store]") {
  used_store used{3};
  auto& all = used.store.all();
  auto& m = store_type::descriptor::of(address_of(used.spans.front()));
  all.give_span(m, used.spans.front(), 5);
  CHECK(used.store.purge_free_spans() == 10 * page_bytes);
  CHECK(used.store.purge_free_spans() == 0);
  all.give_span(m, used.spans.front(), 4);
  used.store.supply().source().fail_at(1);
  CHECK(used.store.purge_free_spans() == 0);
  CHECK(used.store.purge_free_spans() == 11 * page_bytes);  // what failed is tried again
}

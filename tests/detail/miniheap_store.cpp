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
    CHECK(used.store.fits_reserve() == (used.store.all().size() <= 2));
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

TEST_CASE("miniheap_store: what waits to be unmapped is no part of the reserve, and tried again by trim",
          "[miniheap_store]") {
  used_store used{40};
  const auto& counts = used.store.supply().source().inner().counts();
  while (used.spans.size() > 20) {
    used.store.supply().source().fail_at(1);
    used.empty_one();
    used.verify();
  }
  used.store.supply().source().never_fail();
  CHECK(used.store.reserve_bytes() <= 128 * KiB);
  CHECK(used.store.all().waiting_count() >= 17);
  const std::uint64_t before = counts.unmap_calls + counts.purge_calls;
  for (int n = 0; n < 100; ++n) {
    used.store.settle();
    auto& m = store_type::descriptor::of(address_of(used.spans.back()));
    used.store.give_span(m, used.spans.back(), 14);
    REQUIRE(used.store.extend_span(m, used.spans.back(), 15));
  }
  CHECK(counts.unmap_calls + counts.purge_calls <= before + 4);
  used.verify();
  const std::size_t waiting = used.store.all().waiting_count();
  used.store.give_back(0);
  CHECK(used.store.all().waiting_count() == waiting);
  used.store.trim();
  CHECK(used.store.all().size() == 20);
  CHECK(used.store.all().waiting_count() == 0);
  used.verify();
}

TEST_CASE("miniheap_store: what release could not unmap holds memory until trim", "[miniheap_store]") {
  used_store used{1};
  used.store.supply().source().fail_at(1);
  used.store.release();
  used.spans.clear();
  CHECK(used.store.all().size() == 1);
  page_entry* const first = used.store.take_span(used.store.all().first_with_span(3), 3, 1);  // of its 15 pages
  first->kind = page_kind::medium;
  CHECK(used.store.give_back(0) == 12 * page_bytes);
  used.store.release();
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

TEST_CASE("miniheap_store: in place of what is refused others' pages go", "[miniheap_store]") {
  used_store used{4};
  for (page_entry* const span : used.spans) {
    used.store.give_span(store_type::descriptor::of(address_of(span)), span, 10);
  }
  used.store.supply().source().fail_at(1);
  CHECK(used.store.give_back(10 * page_bytes) == 10 * page_bytes);
  CHECK(used.store.reserve_bytes() == 10 * page_bytes);
  used.verify();
}

TEST_CASE("miniheap_store: miniheaps and large allocations share one bound", "[miniheap_store]") {
  used_store used{3};
  void* const p = used.store.allocate_large(100 * KiB, 16);
  REQUIRE(p != nullptr);
  used.store.deallocate_large(address_of(p));
  CHECK(used.store.reserve_bytes() == 100 * KiB);
  auto& m = store_type::descriptor::of(address_of(used.spans.front()));
  used.store.give_span(m, used.spans.front(), 1);
  used.store.settle();
  CHECK(used.store.large().dirty_bytes() == used.store.reserve_limit_bytes() - 56 * KiB);  // there was more of that
  CHECK(used.store.reserve_bytes() == used.store.reserve_limit_bytes());
  used.store.release();
  CHECK(used.store.supply().mapped_bytes() == 0);
}

TEST_CASE("miniheap_store: it knows when most used pages have free slots", "[miniheap_store]") {
  constexpr arena_config no_floor{.miniheap_bytes = 64 * KiB, .reserve_floor_bytes = 0};
  miniheap_store<source, first_fit, fullest_first, no_floor> store{source{}};
  std::vector<page_entry*> slabs;
  for (int n = 0; n < 15; ++n) {
    slabs.push_back(store.take_span(store.all().first_with_span(1), 1, 1));
    make_slab(slabs.back(), 0);
    slabs.back()->used = static_cast<std::uint16_t>(slabs.back()->slots - 1);
  }
  auto& m = decltype(store)::descriptor::of(address_of(slabs.front()));
  std::size_t binned = 0;
  const auto look = [&] {
    CHECK(store.all().binned_pages() == binned);
    store.note_activity(64 * KiB);
    return store.was_sparse();
  };
  CHECK_FALSE(look());
  for (page_entry* const slab : slabs) {
    store.all().add_to_bin(m, *slab);
    ++binned;
    CHECK(look() == (binned >= 8));
  }
  for (page_entry* const slab : slabs) {
    store.all().remove_from_bin(m, *slab);
    --binned;
    CHECK(look() == (binned >= 6));
  }
  store.release();
}

TEST_CASE("miniheap_store: pages that are refused leave less of the bound for ranges", "[miniheap_store]") {
  used_store used{1};
  void* const p = used.store.allocate_large(56 * KiB, 16);
  used.store.deallocate_large(address_of(p));
  auto& m = store_type::descriptor::of(address_of(used.spans.front()));
  used.store.give_span(m, used.spans.front(), 1);  // as many bytes as the range has
  REQUIRE(used.store.reserve_bytes() == 14 * page_bytes + 56 * KiB);
  used.store.supply().source().fail_at(1);
  CHECK(used.store.give_back(70 * KiB) == 44 * KiB);
  CHECK(used.store.reserve_bytes() == 14 * page_bytes + 12 * KiB);
  CHECK(used.store.check());
}

TEST_CASE("miniheap_store: a large allocation that grows again into what was given back raises the bound",
          "[miniheap_store]") {
  miniheap_store<counting_source<>, first_fit, fullest_first, arena_config{}> store{counting_source<>{}};
  for (int round = 0; round < 100; ++round) {
    void* p = store.allocate_large(1 * MiB, 16);
    p = store.resize_large(address_of(p), 9 * MiB, 16);
    REQUIRE(p != nullptr);
    store.deallocate_large(address_of(p));
  }
  CHECK(store.supply().source().counts().unmap_calls < 10);
  CHECK(store.check());
  store.release();
  CHECK(store.supply().mapped_bytes() == 0);
}

TEST_CASE("miniheap_store: what grows again into what it gave back raises the bound", "[miniheap_store]") {
  miniheap_store<counting_source<>, first_fit, fullest_first, arena_config{}> store{counting_source<>{}};
  page_entry* spans[4];
  for (page_entry*& first : spans) {
    first = store.take_span(store.all().first_with_span(200), 200, 1);
    first->kind = page_kind::medium;
  }
  auto& m = decltype(store)::descriptor::of(address_of(spans[0]));
  for (int round = 0; round < 200; ++round) {
    for (page_entry* const first : spans) {
      store.give_span(m, first, 20);
      store.settle();
    }
    for (page_entry* const first : spans) REQUIRE(store.extend_span(m, first, 200));
  }
  CHECK(store.supply().source().counts().purge_calls < 20);
  CHECK(store.check());
}

TEST_CASE("miniheap_store: check notices what changed behind its back", "[miniheap_store][check]") {
  used_store all{2};
  auto& m = store_type::descriptor::of(address_of(all.spans.back()));
  all.store.give_span(m, all.spans.back());
  all.verify();
  all.store.all().erase(m);  // only the index knows it now
  CHECK(!all.store.check());
  all.store.all().insert(m);
  CHECK(all.store.check());
  m.is_waiting = true;
  CHECK(!all.store.check());
}

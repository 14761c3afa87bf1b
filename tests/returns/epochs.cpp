// SPDX-License-Identifier: BSL-1.0
// What goes back at the end of an epoch, what counts as regret, and what counts as activity.
#include <miniheap/detail/miniheap_store.hpp>

#include "catch.hpp"

#include <miniheap/policy/fit.hpp>
#include <miniheap/policy/selection.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

/// Takes no hints, so that only what is asked for is touched; and takes nothing back while it is stubborn.
class plain_source {
 public:
  bool is_stubborn = false;

  void* map(std::size_t bytes, std::size_t alignment) noexcept { return inner_.map(bytes, alignment); }
  bool unmap(void* p, std::size_t bytes) noexcept { return !is_stubborn && inner_.unmap(p, bytes); }
  bool purge(void* p, std::size_t bytes) noexcept { return !is_stubborn && inner_.purge(p, bytes); }

 private:
  mmap_source inner_;
};

constexpr std::size_t floor_bytes = 256 * KiB;
constexpr arena_config adapting{.miniheap_bytes = 1 * MiB,
                                .reserve_floor_bytes = floor_bytes,
                                .reserve_ceiling_bytes = 16 * MiB,
                                .reserve_ceiling_share = 0,
                                .huge_pages_from_bytes = 0};

template <class Source, arena_config Config>
struct used_store {
  using store_type = miniheap_store<Source, first_fit, fullest_first, Config>;
  using descriptor = typename store_type::descriptor;

  store_type store{Source{}};

  page_entry* take(std::uint32_t pages) { return take(store.all().first_with_span(pages), pages); }
  page_entry* take(descriptor* m, std::uint32_t pages) {
    page_entry* const first = store.take_span(m, pages, 1);
    REQUIRE(first != nullptr);
    first->kind = page_kind::medium;
    return first;
  }
  static descriptor& owner(page_entry* first) { return descriptor::of(address_of(first)); }
  /// Settles nothing.
  void give(page_entry* first) { store.give_span(owner(first), first); }

  /// Frees pages and takes them again, which keep nothing in reserve, until `is_over()`.
  template <class IsOver>
  void churn(page_entry*& span, IsOver is_over) {
    int rounds = 0;
    for (; rounds < 200 && !is_over(); ++rounds) {
      const std::uint32_t pages = span->pages;
      descriptor& m = owner(span);
      give(span);
      span = take(&m, pages);
    }
    REQUIRE(rounds < 200);
  }
  void churn(page_entry*& span, int rounds) {
    churn(span, [&] { return rounds-- == 0; });
  }
  void verify() {
    const check_result result = store.check();
    INFO((result ? "" : result.broken));
    CHECK(result);
  }
};

/// A full miniheap. `churned` has the lowest pages, so that others are not taken in its place.
struct full_miniheap : used_store<counting_source<plain_source>, adapting> {
  page_entry* churned = take(20);
  page_entry* a = take(40);
  page_entry* b = take(40);
  descriptor& m = owner(a);

  full_miniheap() {
    while (m.spans().free_pages() != 0) take(&m, 1);
    REQUIRE(store.all().size() == 1);
  }
  const source_counts& counts() { return store.supply().source().counts(); }
  bool has_purged() { return counts().purge_calls != 0; }
};
constexpr std::size_t span_bytes = 40 * page_bytes;

}  // namespace

TEST_CASE("epochs: at the end of one, old pages go first; what goes is regretted when it is taken again",
          "[returns][epochs]") {
  full_miniheap full;
  full.give(full.a);
  full.churn(full.churned, 20);  // longer than an epoch
  CHECK_FALSE(full.has_purged());
  full.give(full.b);
  REQUIRE(full.store.reserve_bytes() > full.store.reserve_limit_bytes());
  full.churn(full.churned, [&] { return full.has_purged(); });
  CHECK(full.store.reserve_bytes() == span_bytes);
  CHECK(full.m.dirty_pages() == 40);
  CHECK(full.m.clean_pages_at(full_miniheap::store_type::shape::page_of(full.a), 100) == 40);
  CHECK(full.store.reserve_limit_bytes() == floor_bytes);
  full.take(40);
  CHECK(full.store.reserve_limit_bytes() == floor_bytes + 2 * span_bytes);
  full.verify();
}

TEST_CASE("epochs: at the end of one, new pages go where old ones are not enough", "[returns][epochs]") {
  full_miniheap full;
  full.churn(full.churned, 20);
  full.give(full.a);
  full.give(full.b);
  full.churn(full.churned, 16);  // less than two epochs
  CHECK(full.has_purged());
  CHECK(full.store.reserve_bytes() <= floor_bytes);
  full.verify();
}

TEST_CASE("epochs: an empty miniheap goes as a whole", "[returns][epochs]") {
  constexpr arena_config one_empty{.miniheap_bytes = 1 * MiB,
                                   .reserve_floor_bytes = 1 * MiB + 64 * KiB,
                                   .reserve_ceiling_bytes = 16 * MiB,
                                   .huge_pages_from_bytes = 0};
  used_store<counting_source<plain_source>, one_empty> used;
  page_entry* churned = used.take(20);
  page_entry* const given = used.take(40);
  auto& first = used.owner(churned);
  while (first.spans().free_pages() != 0) used.take(&first, 1);
  used.give(used.take(100));
  REQUIRE(used.store.all().empty_count() == 1);
  used.churn(churned, 50);  // its pages are old
  REQUIRE(used.store.all().empty_count() == 1);
  used.give(given);
  used.churn(churned, [&] { return used.store.all().size() == 1; });
  CHECK(used.store.supply().source().counts().purge_calls == 0);
  CHECK(used.store.reserve_bytes() == span_bytes);
  used.verify();
}

TEST_CASE("epochs: one that ends with more in reserve than before has given nothing back", "[returns][epochs]") {
  constexpr arena_config dense{.miniheap_bytes = 1 * MiB,
                               .reserve_floor_bytes = 64 * KiB,
                               .reserve_ceiling_bytes = 8 * MiB,
                               .huge_pages_from_bytes = 64 * KiB};
  struct stubborn_source : mmap_source {
    bool is_stubborn = false;
    bool unmap(void* p, std::size_t bytes) noexcept { return !is_stubborn && mmap_source::unmap(p, bytes); }
    bool purge(void* p, std::size_t bytes) noexcept { return !is_stubborn && mmap_source::purge(p, bytes); }
    std::size_t purge_rows(const page_row*, std::size_t) noexcept { return 0; }
  };
  used_store<stubborn_source, dense> used;
  auto& store = used.store;
  page_entry* churned = used.take(20);
  page_entry* last = churned;
  while (store.all().size() < 2) last = used.take(20);
  auto& second = used.owner(last);
  REQUIRE(second.has_huge_pages);
  used.give(used.take(&second, 20));
  const std::size_t before_bytes = store.reserve_bytes();
  REQUIRE(before_bytes > store.reserve_limit_bytes());
  store.supply().source().is_stubborn = true;
  used.churn(churned, [&] { return !second.has_huge_pages; });
  CHECK(store.reserve_bytes() > 2 * before_bytes);  // any page of it may have been resident
  while (store.all().size() < 4) used.take(200);
  CHECK(store.reserve_limit_bytes() == 64 * KiB);  // nothing to regret
  used.verify();
  store.supply().source().is_stubborn = false;
  store.release();
  CHECK(store.supply().mapped_bytes() == 0);
}

TEST_CASE("epochs: of a miniheap in huge pages all that is free goes, as nobody knows what of it is resident",
          "[returns][epochs]") {
  constexpr arena_config dense{.miniheap_bytes = 1 * MiB,
                               .reserve_floor_bytes = 192 * KiB,
                               .reserve_ceiling_bytes = 8 * MiB,
                               .huge_pages_from_bytes = 64 * KiB};
  used_store<counting_source<>, dense> used;
  page_entry* churned = used.take(20);
  page_entry* const new_ones = used.take(20);
  auto& first = used.owner(churned);
  while (first.spans().free_pages() != 0) used.take(&first, 1);
  page_entry* const old_ones = used.take(30);
  auto& second = used.owner(old_ones);
  REQUIRE(second.has_huge_pages);
  while (second.spans().free_pages() > 10) used.take(&second, 1);
  REQUIRE(second.dirty_pages() <= 10);
  used.give(old_ones);
  used.churn(churned, 40);
  REQUIRE(second.has_huge_pages);
  used.give(new_ones);
  used.churn(churned, [&] { return !second.has_huge_pages; });
  CHECK(second.dirty_pages() == 0);
  CHECK(first.dirty_pages() == 20);
  used.verify();
}

TEST_CASE("epochs: a miniheap that is mapped again is regretted as a whole, and so is a range", "[returns][epochs]") {
  used_store<counting_source<plain_source>, adapting> used;
  used.give(used.take(1));
  used.store.settle();
  REQUIRE(used.store.all().size() == 0);
  used.take(1);
  CHECK(used.store.reserve_limit_bytes() == floor_bytes + 2 * MiB);

  used_store<counting_source<plain_source>, adapting> other;
  const auto allocate = [&] { return address_of(other.store.allocate_large(2 * MiB, 16)); };
  other.store.deallocate_large(allocate());
  REQUIRE(other.store.reserve_bytes() == floor_bytes);  // the rest went back
  allocate();
  CHECK(other.store.reserve_limit_bytes() == floor_bytes + 2 * (2 * MiB - floor_bytes));
}

TEST_CASE("epochs: what is freed is activity, and soon known to all threads", "[returns][epochs]") {
  used_store<counting_source<plain_source>, adapting> used;
  std::vector<page_entry*> all;
  for (int n = 0; n < 200; ++n) all.push_back(used.take(8));
  void* const p = used.store.allocate_large(8 * MiB, 16);
  CHECK(used.store.recent_in_use_bytes() == used.store.in_use_bytes());
  used.store.deallocate_large(address_of(p));
  CHECK(used.store.recent_in_use_bytes() == used.store.in_use_bytes());
  for (page_entry* const first : all) {
    used.give(first);
    used.store.settle();
  }
  CHECK(used.store.recent_in_use_bytes() <= 64 * KiB);
}

TEST_CASE("epochs: a large allocation that shrinks may lower the bound", "[returns][epochs]") {
  used_store<counting_source<>, adapting> used;
  auto& store = used.store;
  const auto first = address_of(store.allocate_large(64 * MiB, 16));
  const auto second = address_of(store.allocate_large(80 * MiB, 16));  // an epoch is over with each
  for (int n = 0; n < 2; ++n) store.deallocate_large(address_of(store.allocate_large(2 * MiB, 16)));
  const std::size_t held_bytes = store.reserve_bytes();
  REQUIRE(held_bytes > floor_bytes);  // after regret
  REQUIRE(store.resize_large(second, 1 * MiB, 16) != nullptr);
  CHECK(store.reserve_bytes() == held_bytes);
  REQUIRE(store.resize_large(first, 1 * MiB, 16) != nullptr);
  CHECK(store.reserve_limit_bytes() == floor_bytes);
  CHECK(store.reserve_bytes() <= floor_bytes);
}

TEST_CASE("epochs: of what was refused, one is tried again in each call", "[returns][epochs]") {
  used_store<counting_source<plain_source>, adapting> used;
  std::vector<page_entry*> all;
  while (used.store.all().size() < 6) all.push_back(used.take(200));
  used.store.supply().source().inner().is_stubborn = true;
  for (page_entry* const first : all) used.store.give_span(used.owner(first), first, 100);
  const source_counts& counts = used.store.supply().source().counts();
  CHECK(used.store.give_back(0) == 0);
  CHECK(counts.purge_calls == all.size());
  CHECK(used.store.give_back(0) == 0);
  CHECK(counts.purge_calls == all.size() + 1);
  used.store.supply().source().inner().is_stubborn = false;
  CHECK(used.store.give_back(0) == all.size() * 100 * page_bytes);
}

TEST_CASE("epochs: rows of pages of many miniheaps go back in few calls", "[returns][epochs]") {
  struct row_source : plain_source {
    std::vector<std::size_t> rows_of_calls;
    std::size_t purge_rows(const page_row*, std::size_t count) noexcept {
      rows_of_calls.push_back(count);
      return count;
    }
  };
  used_store<row_source, adapting> used;
  std::vector<page_entry*> all;
  for (int n = 0; n < 1000; ++n) all.push_back(used.take(1));
  REQUIRE(used.store.all().size() == 4);
  for (std::size_t n = 0; n < all.size(); n += 5) used.give(all[n]);
  CHECK(used.store.give_back(0) == 200 * page_bytes);
  CHECK(used.store.supply().source().rows_of_calls == std::vector<std::size_t>{128, 72});
  CHECK(used.store.reserve_bytes() == 0);
  used.verify();
}

TEST_CASE("epochs: when the bound is reached, more goes back than has to", "[returns][epochs]") {
  used_store<counting_source<plain_source>, adapting> used;
  std::vector<page_entry*> one_of_each;
  while (used.store.all().size() < 8) {
    page_entry* const first = used.take(10);
    if (one_of_each.size() < used.store.all().size()) one_of_each.push_back(first);
  }
  for (int n = 0; n < 7; ++n) {  // 40 KiB each; of one that is purged all goes
    CHECK(used.store.reserve_bytes() == static_cast<std::size_t>(n) * 10 * page_bytes);
    used.give(one_of_each[static_cast<std::size_t>(n)]);
    used.store.settle();
  }
  CHECK(used.store.reserve_bytes() == 3 * 10 * page_bytes);
  used.verify();
}

TEST_CASE("epochs: in place of what is refused other pages go, as far as there are any", "[returns][epochs]") {
  struct reluctant_source : plain_source {
    int refusals = 3;
    bool purge(void* p, std::size_t bytes) noexcept { return refusals-- <= 0 && plain_source::purge(p, bytes); }
  };
  used_store<reluctant_source, adapting> used;
  std::vector<page_entry*> all;
  while (used.store.all().size() < 7) all.push_back(used.take(200));
  for (page_entry* const first : all) used.store.give_span(used.owner(first), first, 100);
  CHECK(used.store.give_back(500 * page_bytes) == 200 * page_bytes);  // two are refused, then a third
  CHECK(used.store.reserve_bytes() == 500 * page_bytes);
  used.store.supply().source().refusals = 100;
  CHECK(used.store.give_back(0) == 0);
  used.store.supply().source().refusals = 0;
  CHECK(used.store.give_back(0) == 500 * page_bytes);
  used.verify();
}

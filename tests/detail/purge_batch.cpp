// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/purge_batch.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"

#include <miniheap/policy/fit.hpp>
#include <miniheap/policy/selection.hpp>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

/// Purges nothing, and writes down what it is asked to; refuses the rows that start at stubborn pages.
struct recording_source {
  std::vector<std::size_t> rows_of_calls;
  std::set<const void*> purged;
  std::size_t purged_pages = 0;
  std::set<const void*> stubborn;
  bool is_stubborn = false;
  std::vector<std::pair<const void*, std::size_t>> small_pages;

  void* map(std::size_t, std::size_t) noexcept { return nullptr; }
  bool unmap(void*, std::size_t) noexcept { return false; }
  bool purge(void* p, std::size_t bytes) noexcept {
    if (is_stubborn || stubborn.count(p) != 0) return false;
    purged.insert(p);
    purged_pages += bytes / page_bytes;
    return true;
  }
  std::size_t purge_rows(const page_row* rows, std::size_t count) noexcept {
    rows_of_calls.push_back(count);
    std::size_t done = 0;
    while (done < count && purge(rows[done].memory, rows[done].bytes)) ++done;
    return done;
  }
  void populate(void*, std::size_t) noexcept {}
  void prefer_huge_pages(void*, std::size_t) noexcept {}
  void prefer_small_pages(void* p, std::size_t bytes) noexcept { small_pages.emplace_back(p, bytes); }
};

/// Full miniheaps, a page each span, of which every second one was freed.
template <std::size_t MiniheapBytes>
class thinned_out {
 public:
  using shape = geometry<MiniheapBytes>;
  using set_type = miniheap_set<shape, first_fit, fullest_first>;
  using descriptor = typename set_type::descriptor;
  using supply_type = page_supply<recording_source>;
  using batch_type = purge_batch<set_type, supply_type>;
  static constexpr std::uint32_t rows = shape::usable_pages / 2;  // of each miniheap

  explicit thinned_out(std::size_t count) : memory_{count} {
    for (std::size_t n = 0; n < count; ++n) {
      all.push_back(std::make_unique<descriptor>(memory_.at(n), n, false));
      set.insert(*all.back());
      spans.emplace_back();
      while (page_entry* const first = set.take_span(*all.back(), 1)) {
        first->kind = page_kind::medium;
        spans.back().push_back(first);
      }
      for (std::size_t span = 1; span < spans.back().size(); span += 2) give(n, span);
    }
  }
  ~thinned_out() { set.clear(); }
  thinned_out(const thinned_out&) = delete;
  thinned_out& operator=(const thinned_out&) = delete;

  void give(std::size_t miniheap, std::size_t span) { set.give_span(*all[miniheap], spans[miniheap][span]); }
  [[nodiscard]] const void* memory_of(std::size_t miniheap, std::size_t span) const {
    return shape::memory_of(spans[miniheap][span]);
  }
  recording_source& source() { return supply.source(); }
  void verify(std::size_t dirty_pages) {
    const check_result result = set.check();
    INFO((result ? "" : result.broken));
    CHECK(result);
    CHECK(set.dirty_pages() == dirty_pages);
  }

 private:
  miniheap_memory<MiniheapBytes> memory_;

 public:
  std::vector<std::unique_ptr<descriptor>> all;
  std::vector<std::vector<page_entry*>> spans;
  set_type set;
  supply_type supply{recording_source{}};
};

using several = thinned_out<512 * KiB>;
constexpr std::size_t most_rows = 128;
static_assert(2 * several::rows < most_rows && 3 * several::rows > most_rows);
using one_large = thinned_out<2 * MiB>;
static_assert(one_large::rows > most_rows);

}  // namespace

TEST_CASE("purge_batch: what was added is dirty no more, and purged when the batch is full or flushed",
          "[purge_batch]") {
  several thinned{2};
  several::batch_type batch{thinned.set, thinned.supply};
  for (const auto& m : thinned.all) batch.add(*m);
  thinned.verify(0);
  CHECK(thinned.source().purged.empty());
  batch.flush();
  CHECK(thinned.source().rows_of_calls == std::vector<std::size_t>{2 * several::rows});
  CHECK(thinned.source().purged_pages == 2 * several::rows);
  for (std::size_t span = 0; span < thinned.spans[1].size(); ++span) {
    REQUIRE(thinned.source().purged.count(thinned.memory_of(1, span)) == span % 2);
  }
  batch.flush();
  CHECK(thinned.source().rows_of_calls.size() == 1);
}

TEST_CASE("purge_batch: what is left is purged at the end of it", "[purge_batch]") {
  several thinned{1};
  several::batch_type{thinned.set, thinned.supply}.add(*thinned.all[0]);
  CHECK(thinned.source().purged_pages == several::rows);
  CHECK(thinned.supply.given_back_bytes() == several::rows * page_bytes);
}

TEST_CASE("purge_batch: more rows than fit are purged in several calls, each once", "[purge_batch]") {
  SECTION("of several miniheaps") {
    several thinned{5};
    {
      several::batch_type batch{thinned.set, thinned.supply};
      for (const auto& m : thinned.all) batch.add(*m);
    }
    CHECK(thinned.source().rows_of_calls ==
          std::vector<std::size_t>{most_rows, most_rows, 5 * several::rows - 2 * most_rows});
    CHECK(thinned.source().purged.size() == 5 * several::rows);
    CHECK(thinned.source().purged_pages == 5 * several::rows);
    thinned.verify(0);
  }
  SECTION("of one") {
    one_large thinned{1};
    one_large::batch_type{thinned.set, thinned.supply}.add(*thinned.all[0]);
    CHECK(thinned.source().rows_of_calls == std::vector<std::size_t>{most_rows, one_large::rows - most_rows});
    CHECK(thinned.source().purged.size() == one_large::rows);
    thinned.verify(0);
    CHECK_FALSE(thinned.all[0]->was_refused);
  }
}

TEST_CASE("purge_batch: refused rows are dirty again, as what follows of their miniheap, which knows",
          "[purge_batch]") {
  several thinned{3};
  thinned.give(1, 6);  // with those beside it a row of three pages
  thinned.source().stubborn = {thinned.memory_of(1, 5), thinned.memory_of(1, 11), thinned.memory_of(2, 101)};
  const std::size_t all_pages = 3 * several::rows + 1;
  constexpr std::size_t left_of_1 = several::rows - 1;   // two rows of a page came before
  constexpr std::size_t left_of_2 = several::rows - 50;  // 50 of them
  several::batch_type batch{thinned.set, thinned.supply};
  for (const auto& m : thinned.all) batch.add(*m);
  batch.flush();
  thinned.verify(left_of_1 + left_of_2);
  CHECK(thinned.all[0]->dirty_pages() == 0);
  CHECK(thinned.all[1]->dirty_pages() == left_of_1);
  CHECK(thinned.all[2]->dirty_pages() == left_of_2);
  for (std::size_t n = 0; n < 3; ++n) CHECK(thinned.all[n]->was_refused == (n != 0));
  for (const std::size_t span : {5u, 6u, 7u, 11u}) {
    CHECK(thinned.all[1]->clean_pages_at(several::shape::page_of(thinned.spans[1][span]), 1) == 0);
  }
  CHECK(thinned.source().purged_pages == all_pages - left_of_1 - left_of_2);
  CHECK(thinned.supply.given_back_bytes() == (all_pages - left_of_1 - left_of_2) * page_bytes);

  thinned.source().stubborn.clear();
  batch.add(*thinned.all[1]);
  CHECK_FALSE(thinned.all[1]->was_refused);
  batch.flush();
  CHECK_FALSE(thinned.all[1]->was_refused);
  CHECK(thinned.source().purged_pages == all_pages - left_of_2);
  thinned.verify(left_of_2);
}

TEST_CASE("purge_batch: a miniheap that is refused while it is added is not asked for again", "[purge_batch]") {
  one_large thinned{1};
  thinned.source().is_stubborn = true;
  one_large::batch_type batch{thinned.set, thinned.supply};
  batch.add(*thinned.all[0]);
  CHECK(thinned.source().rows_of_calls == std::vector<std::size_t>{most_rows});
  CHECK(thinned.all[0]->was_refused);
  thinned.verify(one_large::rows);
  batch.flush();
  CHECK(thinned.source().rows_of_calls.size() == 1);
}

TEST_CASE("purge_batch: one that is refused does not keep those that are added after it", "[purge_batch]") {
  several thinned{4};
  thinned.source().stubborn = {thinned.memory_of(0, 1)};
  several::batch_type batch{thinned.set, thinned.supply};
  for (const auto& m : thinned.all) batch.add(*m);  // the batch is full while the third one is added
  CHECK(thinned.all[0]->was_refused);
  CHECK_FALSE(thinned.all[2]->was_refused);
  thinned.verify(several::rows);
}

TEST_CASE("purge_batch: only the old pages where that is asked", "[purge_batch]") {
  several thinned{1};
  thinned.all[0]->make_dirty_pages_old();
  thinned.give(0, 6);
  thinned.give(0, 20);
  several::batch_type batch{thinned.set, thinned.supply};
  batch.add(*thinned.all[0], true);
  batch.flush();
  CHECK(thinned.source().purged_pages == several::rows);
  CHECK(thinned.source().purged.count(thinned.memory_of(0, 6)) == 0);
  thinned.verify(2);
  batch.add(*thinned.all[0], true);
  batch.flush();
  CHECK(thinned.source().purged_pages == several::rows);
  batch.add(*thinned.all[0]);
  batch.flush();
  CHECK(thinned.source().purged_pages == several::rows + 2);
  thinned.verify(0);
}

TEST_CASE("purge_batch: of a miniheap in huge pages all that is free goes, and it is in them no more",
          "[purge_batch]") {
  several thinned{2};
  {
    several::batch_type batch{thinned.set, thinned.supply};
    for (const auto& m : thinned.all) batch.add(*m);
  }
  for (const auto& m : thinned.all) m->has_huge_pages = true;
  thinned.give(0, 20);
  thinned.verify(1);
  CHECK(thinned.source().small_pages.empty());
  const std::size_t before_pages = thinned.source().purged_pages;
  several::batch_type batch{thinned.set, thinned.supply};
  batch.add(*thinned.all[0], true);  // nothing of it is old
  batch.flush();
  CHECK(thinned.source().small_pages ==
        std::vector<std::pair<const void*, std::size_t>>{{thinned.all[0]->map(), 512 * KiB}});
  CHECK(thinned.source().purged_pages - before_pages == several::rows + 1);
  CHECK_FALSE(thinned.all[0]->has_huge_pages);
  CHECK(thinned.all[1]->has_huge_pages);
  thinned.verify(0);
}

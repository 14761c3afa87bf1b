// SPDX-License-Identifier: BSL-1.0
#include <miniheap/config.hpp>
#include <miniheap/detail/free_spans.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

/// Free spans beside a model: one flag a page.
template <std::size_t MiniheapBytes>
struct modelled {
  using shape = geometry<MiniheapBytes>;
  static constexpr free_span whole{shape::head_pages, shape::usable_pages};

  free_spans<shape> spans;
  std::vector<bool> is_free = std::vector<bool>(shape::pages);

  modelled() { add(whole); }

  void add(free_span span) {
    spans.add(span);
    std::fill_n(is_free.begin() + span.first, span.pages, true);
  }

  void take(free_span from, free_span taken) {
    spans.take(from, taken);
    std::fill_n(is_free.begin() + taken.first, taken.pages, false);
  }

  std::vector<free_span> expected() const {
    std::vector<free_span> found;
    for (std::uint32_t page = 0; page < shape::pages; ++page) {
      if (!is_free[page]) continue;
      if (page == 0 || !is_free[page - 1]) found.push_back({page, 0});
      ++found.back().pages;
    }
    return found;
  }

  void verify() const {
    const char* const broken = spans.check();
    INFO((broken == nullptr ? "" : broken));
    REQUIRE(broken == nullptr);
    const std::vector<free_span> want = expected();
    std::vector<free_span> by_address;
    for (free_span s = spans.at_or_after(0); s; s = spans.at_or_after(s.first + s.pages)) by_address.push_back(s);
    REQUIRE(by_address == want);

    std::vector<free_span> by_class;
    for (std::uint32_t k = spans.class_at_or_after(0); k < spans.classes; k = spans.class_at_or_after(k + 1)) {
      for (free_span s = spans.in_class(k); s; s = spans.next_in_class(s)) by_class.push_back(s);
    }
    const auto by_first = [](free_span a, free_span b) { return a.first < b.first; };
    std::sort(by_class.begin(), by_class.end(), by_first);
    REQUIRE(by_class == want);

    std::uint32_t longest = 0;
    std::uint32_t free_pages = 0;
    for (const free_span s : want) {
      longest = std::max(longest, s.pages);
      free_pages += s.pages;
      REQUIRE(spans.starting_at(s.first) == s);
    }
    REQUIRE(spans.longest_pages() == longest);
    REQUIRE(spans.longest_class() == (longest == 0 ? spans.classes : length_class(longest)));
    REQUIRE(spans.free_pages() == free_pages);
  }
};

/// The lowest span that starts at `page` or above, by the model.
free_span expected_at_or_after(const std::vector<free_span>& spans, std::uint32_t page) {
  for (const free_span s : spans) {
    if (s.first >= page) return s;
  }
  return {};
}

template <std::size_t MiniheapBytes>
void random_takes_and_adds(int steps, std::uint64_t seed) {
  modelled<MiniheapBytes> m;
  random_numbers random{seed};
  std::vector<free_span> used;
  for (int n = 0; n < steps; ++n) {
    const std::vector<free_span> free = m.expected();
    const bool is_filling = (n / 64) % 2 == 0;
    if (!free.empty() && (used.empty() || random.below(10u) < (is_filling ? 8u : 2u))) {
      const free_span from = free[random.below(free.size())];
      const std::uint32_t skipped = random.one_in(3) ? random.below(from.pages) : 0;
      const std::uint32_t most = from.pages - skipped;
      const std::uint32_t pages = 1 + random.below(random.one_in(2) ? std::min(most, 4u) : most);
      const free_span taken{from.first + skipped, pages};
      m.take(from, taken);
      used.push_back(taken);
    } else {
      const std::size_t i = random.below(used.size());
      m.add(used[i]);
      used.erase(used.begin() + static_cast<std::ptrdiff_t>(i));
    }
    m.verify();
    const std::uint32_t page = random.below(geometry<MiniheapBytes>::pages + 2);
    const std::vector<free_span> expected = m.expected();
    REQUIRE(m.spans.at_or_after(page) == expected_at_or_after(expected, page));
    const std::uint32_t least = 1 + random.below(random.one_in(2) ? 8u : 200u);
    const auto lowest = std::find_if(expected.begin(), expected.end(), [&](free_span s) { return s.pages >= least; });
    REQUIRE(m.spans.lowest_of(least) == (lowest == expected.end() ? free_span{} : *lowest));
  }
}

/// Takes all of a miniheap in spans of these lengths, and frees them in this order: one free span is left.
void free_in_order(const std::vector<std::uint32_t>& lengths, const std::vector<std::size_t>& order) {
  modelled<64 * KiB> m;
  std::vector<free_span> used;
  for (const std::uint32_t pages : lengths) {
    const free_span from = m.spans.at_or_after(0);
    used.push_back({from.first, pages});
    m.take(from, used.back());
  }
  for (const std::size_t i : order) {
    m.add(used[i]);
    if (m.spans.check() != nullptr) FAIL(m.spans.check());
  }
  if (m.spans.at_or_after(0) != m.whole || m.spans.longest_pages() != m.whole.pages) FAIL("not one free span");
}

}  // namespace

TEST_CASE("free_spans: any takes and adds agree with a model", "[free_spans]") {
  random_takes_and_adds<64 * KiB>(3000, 1);
  random_takes_and_adds<64 * KiB>(3000, 2);
  random_takes_and_adds<256 * KiB>(2000, 3);
  random_takes_and_adds<1 * MiB>(700, 4);
}

TEST_CASE("free_spans: any order of frees ends in one free span", "[free_spans][coalesce]") {
  for (const std::vector<std::uint32_t>& lengths : {std::vector<std::uint32_t>{15},
                                                    {7, 8},
                                                    {1, 13, 1},
                                                    {5, 4, 3, 3},
                                                    {1, 2, 3, 4, 5},
                                                    {8, 1, 1, 1, 1, 3},
                                                    {1, 1, 2, 2, 3, 3, 3}}) {
    std::vector<std::size_t> order(lengths.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    do free_in_order(lengths, order);
    while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("free_spans: any order of frees of many spans ends in one free span", "[free_spans][coalesce]") {
  random_numbers random{5};
  modelled<1 * MiB> m;
  for (int round = 0; round < 50; ++round) {
    std::vector<free_span> used;
    while (const free_span from = m.spans.at_or_after(0)) {
      used.push_back({from.first, 1 + random.below(std::min(from.pages, round % 2 == 0 ? 2u : 40u))});
      m.take(from, used.back());
    }
    m.verify();
    while (!used.empty()) {
      std::swap(used[random.below(used.size())], used.back());
      m.add(used.back());
      used.pop_back();
    }
    REQUIRE(m.spans.at_or_after(0) == m.whole);
    m.verify();
  }
}

TEST_CASE("free_spans: a page inside a free span is not the start of one", "[free_spans]") {
  modelled<64 * KiB> m;
  m.take({1, 15}, {1, 4});
  m.take({5, 11}, {8, 8});
  m.add({1, 4});  // joins the three pages that were skipped
  for (std::uint32_t page = 2; page < 8; ++page) CHECK(!m.spans.at_or_after(page));
  CHECK(m.spans.at_or_after(1) == free_span{1, 7});
  CHECK(!m.spans.at_or_after(16));
}

TEST_CASE("free_spans: above the longest length class there is none", "[free_spans]") {
  const modelled<1 * MiB> m;
  const std::uint32_t longest = m.spans.longest_class();
  CHECK(m.spans.class_at_or_after(longest) == longest);
  for (std::uint32_t k = longest + 1; k < 70; ++k) CHECK(m.spans.class_at_or_after(k) == m.spans.classes);
}

TEST_CASE("free_spans: check notices what is wrong", "[free_spans][check]") {
  modelled<1 * MiB> m;
  const std::uint32_t first = m.whole.first;
  m.take(m.whole, {first, 5});
  REQUIRE(m.spans.check() == nullptr);
  SECTION("a span of another length than is counted") { m.spans.take({first + 5, 1}, {first + 5, 1}); }
  SECTION("a free page of the head") { m.spans.add({first - 2, 1}); }
  CHECK(m.spans.check() != nullptr);
}

// SPDX-License-Identifier: BSL-1.0
#include <miniheap/policy/fit.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/detail/length_class.hpp>

#include <algorithm>
#include <vector>

using namespace miniheap;

namespace {

constexpr std::uint32_t all_pages = 200;

/// Random free spans that do not touch, in two orders: by address, and by age.
class random_view {
 public:
  static constexpr std::uint32_t classes = detail::length_class(all_pages) + 1;

  random_view(random_numbers& random, std::uint32_t most_pages) {
    for (std::uint32_t page = 1 + random.below(3u); page < all_pages;) {
      const std::uint32_t pages = std::min(random.between(1u, most_pages), all_pages - page);
      by_address.push_back({page, pages});
      page += pages + random.between(1u, 20u);
    }
    by_age = by_address;
    for (std::size_t n = by_age.size(); n > 1; --n) std::swap(by_age[n - 1], by_age[random.below(n)]);
  }

  [[nodiscard]] free_span at_or_after(std::uint32_t page) const noexcept {
    const auto it = std::find_if(by_address.begin(), by_address.end(), [&](free_span s) { return s.first >= page; });
    return it == by_address.end() ? free_span{} : *it;
  }
  [[nodiscard]] free_span lowest_of(std::uint32_t n) const noexcept {
    const auto it = std::find_if(by_address.begin(), by_address.end(), [&](free_span s) { return s.pages >= n; });
    return it == by_address.end() ? free_span{} : *it;
  }
  [[nodiscard]] free_span in_class(std::uint32_t k) const noexcept { return from(0, k); }
  [[nodiscard]] free_span next_in_class(free_span span) const noexcept {
    const auto it = std::find(by_age.begin(), by_age.end(), span);
    return from(static_cast<std::size_t>(it - by_age.begin()) + 1, class_of(span.pages));
  }
  [[nodiscard]] static std::uint32_t class_of(std::uint32_t pages) noexcept { return detail::length_class(pages); }
  [[nodiscard]] static std::uint32_t class_of_all_at_least(std::uint32_t pages) noexcept {
    return detail::length_class_at_least(pages);
  }
  [[nodiscard]] std::uint32_t class_at_or_after(std::uint32_t k) const noexcept {
    while (k < classes && !in_class(k)) ++k;
    return std::min(k, classes);
  }

  [[nodiscard]] std::uint32_t longest() const noexcept {
    std::uint32_t pages = 0;
    for (const free_span s : by_address) pages = std::max(pages, s.pages);
    return pages;
  }

  std::vector<free_span> by_address;
  std::vector<free_span> by_age;

 private:
  [[nodiscard]] free_span from(std::size_t i, std::uint32_t k) const noexcept {
    while (i < by_age.size() && class_of(by_age[i].pages) != k) ++i;
    return i < by_age.size() ? by_age[i] : free_span{};
  }
};
static_assert(free_span_view<random_view>);

/// Calls `verify(view, pages, chosen, state before, state after)` for many views, with one state a view.
template <class Fit, class Verify>
void with_random_views(Verify verify) {
  random_numbers random{17};
  for (int n = 0; n < 400; ++n) {
    const random_view view{random, random.between(1u, 60u)};
    typename Fit::state state{};
    for (int choices = 0; choices < 40; ++choices) {
      const std::uint32_t pages = random.between(1u, random.one_in(2) ? 8u : 64u);
      const typename Fit::state before = state;
      const free_span chosen = Fit::choose(view, pages, state);
      if (pages > view.longest()) {
        if (chosen) FAIL("chose what is too short");
        continue;
      }
      if (chosen.pages < pages) FAIL("passed over what fits");
      if (std::find(view.by_address.begin(), view.by_address.end(), chosen) == view.by_address.end())
        FAIL("no free span");
      verify(view, pages, chosen, before, state);
    }
  }
}

const auto fits = [](std::uint32_t pages) { return [=](free_span s) { return s.pages >= pages; }; };

}  // namespace

TEST_CASE("fit: first_fit takes the lowest that fits", "[fit]") {
  with_random_views<first_fit>([](const random_view& view, std::uint32_t pages, free_span chosen, auto, auto) {
    if (chosen != *std::find_if(view.by_address.begin(), view.by_address.end(), fits(pages))) FAIL(pages);
  });
}

TEST_CASE("fit: best_fit takes one of the shortest that fit", "[fit]") {
  with_random_views<best_fit>([](const random_view& view, std::uint32_t pages, free_span chosen, auto, auto) {
    for (const free_span s : view.by_address) {
      if (s.pages >= pages && s.pages < chosen.pages) FAIL(pages << ": " << s.pages << " would do");
    }
  });
}

TEST_CASE("fit: good_fit takes the first that it is given of the first class in which all fit", "[fit]") {
  with_random_views<good_fit>([](const random_view& view, std::uint32_t pages, free_span chosen, auto, auto) {
    const std::uint32_t k = view.class_at_or_after(view.class_of_all_at_least(pages));
    if (k < random_view::classes && chosen != view.in_class(k)) FAIL(pages);
  });
}

TEST_CASE("fit: next_fit takes the lowest that fits from where it was, and goes round", "[fit]") {
  with_random_views<next_fit>(
      [](const random_view& view, std::uint32_t pages, free_span chosen, auto before, auto after) {
        const auto begin = std::find_if(view.by_address.begin(), view.by_address.end(),
                                        [&](free_span s) { return s.first >= before.page; });
        auto expected = std::find_if(begin, view.by_address.end(), fits(pages));
        if (expected == view.by_address.end()) expected = std::find_if(view.by_address.begin(), begin, fits(pages));
        if (chosen != *expected) FAIL(pages);
        if (after.page != chosen.first) FAIL("does not remember");
      });
}

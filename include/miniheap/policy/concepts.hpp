// SPDX-License-Identifier: BSL-1.0
/// \file
/// What an arena asks of its policies. Each concept stands here with its meaning, units and errors; the policies
/// that satisfy them are in the other files of this folder.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace miniheap {

/// Gives and takes back ranges of addresses. Nothing here may throw, and nothing here may call the arena.
///
/// - `map(bytes, alignment)`: a readable and writable range, or nullptr. `bytes` is a multiple of 4 KiB, `alignment` a
///   power of two of at least 4 KiB.
/// - `unmap(p, bytes)`: takes back whole pages that `map` or `remap` gave: a range, a part of one, or neighbours in one
///   call. False: they are still the caller's.
/// - `purge(p, bytes)`: drops the contents of whole pages in a mapped range and keeps the addresses. False: nothing
///   was dropped. What the pages hold afterwards is unspecified.
template <class Source>
concept page_source = std::move_constructible<Source> && requires(Source source, void* p, std::size_t n) {
  { source.map(n, n) }
  noexcept->std::same_as<void*>;
  { source.unmap(p, n) }
  noexcept->std::same_as<bool>;
  { source.purge(p, n) }
  noexcept->std::same_as<bool>;
};

/// Whether what a page source maps is filled with zeros, and so is what it has purged, and what `remap` adds: it says
/// so by `static constexpr bool maps_zeroed = true`. An arena then touches less memory.
template <page_source Source>
inline constexpr bool maps_zeroed = [] {
  if constexpr (requires { Source::maps_zeroed; }) {
    return static_cast<bool>(Source::maps_zeroed);
  } else {
    return false;
  }
}();

/// A page source that can grow what is mapped, with its contents, perhaps to another address.
///
/// - `remap(p, old_bytes, new_bytes, alignment)`: where the range is now, or nullptr and nothing has changed. Of whole
///   pages, as with `unmap`. `p` is aligned as is asked.
template <class Source>
concept remapping_page_source = page_source<Source> && requires(Source source, void* p, std::size_t n) {
  { source.remap(p, n, n, n) }
  noexcept->std::same_as<void*>;
};

/// Whole pages that lie side by side.
struct page_row {
  void* memory;
  std::size_t bytes;
};

/// A page source that purges many rows of pages in fewer calls to the system than one for each, which costs more than
/// the pages do.
///
/// - `purge_rows(rows, count)`: as `purge` for each, in turn; how many it did, from the first on. The others are then
///   purged one by one.
template <class Source>
concept row_purging_page_source = page_source<Source> && requires(Source source, const page_row* rows, std::size_t n) {
  { source.purge_rows(rows, n) }
  noexcept->std::same_as<std::size_t>;
};

/// A page source that takes hints on how mapped memory is going to be used. Neither changes what the memory holds;
/// where nothing can be done, nothing is.
///
/// - `populate(p, bytes)`: whole pages that are about to be written, so that not each has to be faulted in.
/// - `prefer_huge_pages(p, bytes)`: memory that is going to be densely used.
/// - `prefer_small_pages(p, bytes)`: memory of which that was said is not any more.
template <class Source>
concept hinted_page_source = page_source<Source> && requires(Source source, void* p, std::size_t n) {
  { source.populate(p, n) }
  noexcept;
  { source.prefer_huge_pages(p, n) }
  noexcept;
  { source.prefer_small_pages(p, n) }
  noexcept;
};

/// A page source that can make pages inaccessible, and accessible again.
///
/// - `protect(p, bytes)`: whole mapped pages; each access to them ends the program. False: they are as they were.
/// - `unprotect(p, bytes)`: the reverse. False: they are still inaccessible.
template <class Source>
concept protecting_page_source = page_source<Source> && requires(Source source, void* p, std::size_t n) {
  { source.protect(p, n) }
  noexcept->std::same_as<bool>;
  { source.unprotect(p, n) }
  noexcept->std::same_as<bool>;
};

/// `lock()` and `unlock()`, as the standard's BasicLockable.
template <class Mutex>
concept basic_lockable = requires(Mutex mutex) {
  mutex.lock();
  mutex.unlock();
};

/// Names the two locks of an arena.
///
/// - `set_lock`: for the set of miniheaps; exclusive and shared.
/// - `miniheap_lock`: for one miniheap; `try_lock()` may fail for no reason.
template <class Policy>
concept lock_policy = requires(typename Policy::set_lock set, typename Policy::miniheap_lock one) {
  requires basic_lockable<typename Policy::set_lock>;
  requires basic_lockable<typename Policy::miniheap_lock>;
  set.lock_shared();
  set.unlock_shared();
  { one.try_lock() } -> std::convertible_to<bool>;
};

/// A free span of one miniheap: pages `first` to `first + pages - 1`. None where `pages` is 0.
struct free_span {
  std::uint32_t first = 0;
  std::uint32_t pages = 0;

  constexpr explicit operator bool() const noexcept { return pages != 0; }
  constexpr bool operator==(const free_span&) const = default;
};

/// The free spans of one miniheap as a fit policy sees them. Any of the queries may answer "none".
///
/// Spans are asked for by address or by length class: lengths up to 7 pages have a class each, longer ones four classes
/// a doubling.
template <class View>
concept free_span_view = requires(const View view, std::uint32_t n, free_span span) {
  { view.at_or_after(n) } -> std::same_as<free_span>;                // the lowest span that starts at page n or above
  { view.lowest_of(n) } -> std::same_as<free_span>;                  // the lowest span of at least n pages
  { view.in_class(n) } -> std::same_as<free_span>;                   // the lowest span of length class n
  { view.next_in_class(span) } -> std::same_as<free_span>;           // the next one above of its length class
  { view.class_of(n) } -> std::same_as<std::uint32_t>;               // the length class of n pages
  { view.class_of_all_at_least(n) } -> std::same_as<std::uint32_t>;  // from this class on each span has n pages
  { view.class_at_or_after(n) } -> std::same_as<std::uint32_t>;  // the next class that has a span; `classes` if none
  { View::classes } -> std::convertible_to<std::uint32_t>;
};

namespace detail {

/// Satisfies `free_span_view` and nothing more; it is what `fit_policy` is checked against.
struct free_span_view_archetype {
  static constexpr std::uint32_t classes = 1;
  [[nodiscard]] free_span at_or_after(std::uint32_t page) const noexcept;
  [[nodiscard]] free_span lowest_of(std::uint32_t pages) const noexcept;
  [[nodiscard]] free_span in_class(std::uint32_t length_class) const noexcept;
  [[nodiscard]] free_span next_in_class(free_span span) const noexcept;
  [[nodiscard]] static std::uint32_t class_of(std::uint32_t pages) noexcept;
  [[nodiscard]] static std::uint32_t class_of_all_at_least(std::uint32_t pages) noexcept;
  [[nodiscard]] std::uint32_t class_at_or_after(std::uint32_t length_class) const noexcept;
};
static_assert(free_span_view<free_span_view_archetype>);

}  // namespace detail

/// Chooses the free span inside one miniheap.
///
/// - `state`: what the policy remembers about a miniheap; value-initialised with it.
/// - `choose(view, pages, state)`: a free span of at least `pages` pages, or none if there is none.
template <class Policy>
concept fit_policy = requires(const detail::free_span_view_archetype view, std::uint32_t n, typename Policy::state s) {
  requires std::default_initializable<typename Policy::state>;
  { Policy::choose(view, n, s) }
  noexcept->std::same_as<free_span>;
};

/// What a selection policy may know of a miniheap.
struct occupancy {
  unsigned level = 0;          ///< 0: empty; 1 to `occupancy_levels`: how many pages are used, quantised
  std::uintptr_t address = 0;  ///< where it is
  std::uint64_t sequence = 0;  ///< miniheaps are numbered in the order in which they were mapped

  constexpr bool operator==(const occupancy&) const = default;
};

/// Chooses the miniheap: one strict weak order. `before(a, b)`: an allocation that fits into both goes to `a`.
template <class Policy>
concept selection_policy = requires(const occupancy& a, const occupancy& b) {
  { Policy::before(a, b) }
  noexcept->std::same_as<bool>;
};

}  // namespace miniheap

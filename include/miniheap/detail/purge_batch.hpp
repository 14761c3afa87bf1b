// SPDX-License-Identifier: BSL-1.0
/// \file
/// Drops the contents of free pages of many miniheaps in few calls to the page source. After a spike the pages that are
/// free lie between those that are not, so a call for each row of them would cost more than the rows do.
#pragma once

#include <miniheap/detail/miniheap_set.hpp>
#include <miniheap/detail/page_supply.hpp>

#include <utility>

namespace miniheap::detail {

/// Pages that were added are no dirty pages any more; they are purged when the batch is full or flushed. Those that the
/// page source refuses are dirty again then, and their miniheap knows that it `was_refused`.
template <class Set, class Supply>
class purge_batch {
 public:
  using descriptor = typename Set::descriptor;
  using shape = typename descriptor::shape;

  purge_batch(Set& set, Supply& supply) noexcept : set_{set}, supply_{supply} {}
  ~purge_batch() { flush(); }
  purge_batch(const purge_batch&) = delete;
  purge_batch& operator=(const purge_batch&) = delete;

  /// Adds the dirty pages of a miniheap, or only the old ones where it is not in huge pages. O(pages / 64 + rows).
  void add(descriptor& m, bool only_old = false) noexcept {
    only_old = only_old && !m.has_huge_pages;
    if (m.has_huge_pages) prefer_small_pages(m);
    m.was_refused = false;
    const auto take = [&](std::uint32_t page, std::uint32_t pages) {
      if (count_ == most_rows) return false;
      rows_[count_++] = {shape::memory_of(m.map() + page), pages * page_bytes};
      return true;
    };
    const auto take_all = [&](descriptor& d) { return only_old ? d.clean_old(take) : d.clean(take); };
    while (!set_.change(m, take_all)) {
      flush();
      if (m.was_refused) return;
    }
  }

  void flush() noexcept {
    const auto was_refused = [](const page_row& row) { return miniheap_of(row).was_refused; };
    supply_.purge_rows(rows_, std::exchange(count_, 0), was_refused, [this](const page_row& row) {
      const std::uint32_t first = shape::page_at(shape::offset_of(address_of(row.memory)));
      descriptor& m = miniheap_of(row);
      m.was_refused = true;
      set_.change(m, [&](descriptor& d) { d.soil({first, static_cast<std::uint32_t>(row.bytes / page_bytes)}); });
    });
  }

 private:
  static constexpr std::uint32_t most_rows = 128;  // 2 KiB of a stack that may be small

  static descriptor& miniheap_of(const page_row& row) noexcept { return descriptor::of(address_of(row.memory)); }

  /// It is not dense after all. All of a huge page was made resident with the first touch of it.
  void prefer_small_pages(descriptor& m) noexcept {
    supply_.prefer_small_pages(m.map(), shape::miniheap_bytes);
    m.has_huge_pages = false;
    set_.change(m, [](descriptor& d) { d.soil_all(); });
  }

  Set& set_;
  Supply& supply_;
  std::uint32_t count_ = 0;
  page_row rows_[most_rows];
};

}  // namespace miniheap::detail

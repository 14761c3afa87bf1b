// SPDX-License-Identifier: BSL-1.0
/// \file
/// Selection policies: which miniheap serves the next allocation.
#pragma once

#include <miniheap/policy/concepts.hpp>

namespace miniheap {

/// The fullest miniheap, so that sparse ones starve, become empty and go back (J. R. Moser's "radical imbalance",
/// 2005).
struct fullest_first {
  static constexpr bool before(const occupancy& a, const occupancy& b) noexcept {
    return a.level != b.level ? a.level > b.level : a.address < b.address;
  }
};

/// The miniheap at the lowest address. Never re-orders, and nearly as good at emptying miniheaps.
struct lowest_address_first {
  static constexpr bool before(const occupancy& a, const occupancy& b) noexcept { return a.address < b.address; }
};

/// The emptiest miniheap: the control experiment, which spreads what is live as thinly as it can.
struct emptiest_first {
  static constexpr bool before(const occupancy& a, const occupancy& b) noexcept {
    return a.level != b.level ? a.level < b.level : a.address < b.address;
  }
};

/// The miniheap that was mapped last: for programs that free in the reverse order of allocation.
struct newest_first {
  static constexpr bool before(const occupancy& a, const occupancy& b) noexcept { return a.sequence > b.sequence; }
};

static_assert(selection_policy<fullest_first>);
static_assert(selection_policy<lowest_address_first>);
static_assert(selection_policy<emptiest_first>);
static_assert(selection_policy<newest_first>);

}  // namespace miniheap

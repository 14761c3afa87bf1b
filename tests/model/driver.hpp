// SPDX-License-Identifier: BSL-1.0
// Random operations on an arena and on a model of it, compared after each.
//
// MINIHEAP_TEST_OPERATIONS: how many in all tests together; 10 million if it is not set.
// MINIHEAP_TEST_SEED: runs this seed only, as printed by a run that failed.
#pragma once

#include "model/tested_arena.hpp"

#include <functional>
#include <memory>

namespace model {

/// Of 16 pairs of fit and selection, 4 of them also with a thread cache or with a lock for each miniheap, and 4
/// hardened: an arena over a buffer takes 8 shares of all operations, one that waits for the operating system a single
/// share.
inline constexpr std::uint64_t buffer_shares = 8;
inline constexpr std::uint64_t system_shares = 1;
inline constexpr std::uint64_t all_shares = (16 + 4 + 4) * (buffer_shares + system_shares);

/// Drives a new arena for each of several seeds, one of them fresh in each run of the program.
void run_seeds(std::uint64_t shares, const std::function<std::unique_ptr<tested_arena>()>& make);

}  // namespace model

// SPDX-License-Identifier: BSL-1.0
/// \file
/// How much free memory an arena keeps for reuse. A small bound costs page faults in steady churn, a large one keeps a
/// spike; so the bound follows what the program does, without a clock: **regret** raises it, memory that lies unused
/// lowers it. Time is activity: an **epoch** is so many bytes of pages taken and freed.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/units.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

namespace miniheap::detail {

/// Between `reserve_floor_bytes` and `reserve_ceiling_bytes`, or more where much is in use. Where the floor is
/// not below the ceiling, that is the bound, and it stays.
///
/// There is a bound for each **stage**, which is what is in use in powers of two. So churn at the height of a spike
/// raises nothing that counts when the spike is over; but what is taken down and built up again and again raises the
/// bound of all stages in between, at which it would have had to be kept.
template <arena_config Config>
class reserve_bound {
 public:
  static constexpr bool adapts = Config.reserve_floor_bytes < Config.reserve_ceiling_bytes;

  reserve_bound() noexcept { bounds_.fill(adapts ? Config.reserve_floor_bytes : Config.reserve_ceiling_bytes); }

  static constexpr std::size_t ceiling(std::size_t in_use_bytes) noexcept {
    if (!adapts || Config.reserve_ceiling_share == 0) return Config.reserve_ceiling_bytes;
    return larger(Config.reserve_ceiling_bytes, in_use_bytes / Config.reserve_ceiling_share);
  }

  /// What may be kept now.
  [[nodiscard]] std::size_t bytes(std::size_t in_use_bytes) const noexcept {
    return smaller(bounds_[stage_of(in_use_bytes)], ceiling(in_use_bytes));
  }

  /// Where the bound is reached, so much more goes back with what has to: many pages at a time take less than one by
  /// one.
  static constexpr std::size_t slack(std::size_t bound_bytes) noexcept {
    return adapts ? smaller(bound_bytes / 2, 1 * MiB) : 0;
  }

  /// Memory was given back that the program may want again. No more of it is remembered than could have been kept.
  void note_given_back(std::size_t bytes, std::size_t in_use_bytes) noexcept {
    if (bytes == 0) return;
    given_back_bytes_ = smaller(given_back_bytes_ + bytes, ceiling(in_use_bytes));
    given_back_stage_ = larger(given_back_stage_, stage_of(in_use_bytes));
  }

  /// Memory is taken that has to be faulted in. What was given back and not forgotten was given back too early, and
  /// would be at hand if the bound had been so much higher ever since. It rises by twice as much, as what comes next is
  /// seldom of the same length: it is learned in few rounds then, and what is too much is lowered again. All that by
  /// one part in `discount` of what is faulted in at such a part of the cost.
  void note_fresh(std::size_t bytes, std::size_t in_use_bytes, std::size_t discount = 1) noexcept {
    if (!adapts) return;
    std::size_t regretted_bytes = smaller(bytes, given_back_bytes_);
    given_back_bytes_ -= regretted_bytes;
    regretted_bytes /= discount;
    if (regretted_bytes == 0) return;
    regretted_bytes_ += regretted_bytes;
    const std::uint32_t highest = larger(stage_of(in_use_bytes), given_back_stage_);
    for (std::uint32_t stage = lowest_stage(in_use_bytes); stage <= highest; ++stage) {
      bounds_[stage] = larger(bounds_[stage], smaller(bounds_[stage] + 2 * regretted_bytes, ceiling(in_use_bytes)));
    }
  }

  /// Pages were taken or freed, after which `held_bytes` are kept. True: an epoch is over.
  bool note_activity(std::size_t bytes, std::size_t held_bytes, std::size_t in_use_bytes) noexcept {
    if (!adapts) return false;
    least_held_bytes_ = smaller(least_held_bytes_, held_bytes);
    least_in_use_bytes_ = smaller(least_in_use_bytes_, in_use_bytes);
    activity_bytes_ += bytes;
    return activity_bytes_ >= epoch_bytes(in_use_bytes);
  }

  /// An epoch is over. `old_bytes` were kept all the time, each of them. After a few epochs in which little was missed,
  /// so many go, or what there always was at hand, but for a margin. How many epochs that takes is learned, too: more
  /// where memory is missed after the bound was lowered, fewer where it is not.
  void end_epoch(std::size_t held_bytes, std::size_t old_bytes, std::size_t in_use_bytes) noexcept {
    const bool is_missed = regretted_bytes_ > activity_bytes_ / tolerated_share;
    least_unused_bytes_ = smaller(smaller(least_unused_bytes_, least_held_bytes_), old_bytes);
    calm_epochs_ = is_missed ? 0 : calm_epochs_ + 1;
    if (is_missed && std::exchange(has_lowered_, false)) patience_ = smaller(2 * patience_, most_patience);
    if (calm_epochs_ == patience_) lower(in_use_bytes);
    if (calm_epochs_ == 0) least_unused_bytes_ = held_bytes;
    given_back_bytes_ -= smaller(given_back_bytes_, activity_bytes_ / memory_share);
    if (given_back_bytes_ == 0) given_back_stage_ = 0;
    regretted_bytes_ = activity_bytes_ = 0;
    least_held_bytes_ = held_bytes;
    least_in_use_before_bytes_ = least_in_use_bytes_;
    least_in_use_bytes_ = in_use_bytes;
  }

 private:
  /// Faults that cost this share of all activity are not worth the memory that would save them.
  static constexpr std::size_t tolerated_share = 4096;
  /// What was given back is forgotten at this share of all activity.
  static constexpr std::size_t memory_share = 1024;
  static constexpr std::uint32_t least_patience = 4;
  static constexpr std::uint32_t most_patience = 64;
  static constexpr std::uint32_t stages = 32;

  static constexpr std::uint32_t stage_of(std::size_t in_use_bytes) noexcept {
    return smaller(static_cast<std::uint32_t>(std::bit_width(in_use_bytes / (256 * KiB))), stages - 1);
  }

  /// Long enough for what the bound can hold to be freed and used up, and for much of what is in use to be replaced.
  [[nodiscard]] std::size_t epoch_bytes(std::size_t in_use_bytes) const noexcept {
    return 4 * bytes(in_use_bytes) + in_use_bytes / 2 + 512 * KiB;
  }

  void lower(std::size_t in_use_bytes) noexcept {
    calm_epochs_ = 0;
    const std::size_t margin_bytes = bytes(in_use_bytes) / 4;
    if (least_unused_bytes_ <= margin_bytes) return;
    const std::size_t excess_bytes = least_unused_bytes_ - margin_bytes;
    bool is_lowered = false;
    for (std::uint32_t stage = lowest_stage(in_use_bytes); stage <= stage_of(in_use_bytes); ++stage) {
      is_lowered |= bounds_[stage] > Config.reserve_floor_bytes;
      bounds_[stage] = larger(Config.reserve_floor_bytes, bounds_[stage] - smaller(excess_bytes, bounds_[stage]));
    }
    if (is_lowered && std::exchange(has_lowered_, true)) patience_ = larger(patience_ / 2, least_patience);
  }

  /// Of this epoch and the one before.
  [[nodiscard]] std::uint32_t lowest_stage(std::size_t in_use_bytes) const noexcept {
    return stage_of(smaller(in_use_bytes, smaller(least_in_use_bytes_, least_in_use_before_bytes_)));
  }

  std::array<std::size_t, stages> bounds_;
  std::size_t activity_bytes_ = 0;           // in this epoch
  std::size_t regretted_bytes_ = 0;          // in this epoch
  std::size_t given_back_bytes_ = 0;         // and neither regretted nor forgotten yet
  std::uint32_t given_back_stage_ = 0;       // the highest at which that was
  std::size_t least_held_bytes_ = 0;         // in this epoch
  std::size_t least_unused_bytes_ = 0;       // in the calm epochs
  std::uint32_t calm_epochs_ = 0;            // since something was missed, or the bound was lowered
  std::uint32_t patience_ = least_patience;  // so many of them until the bound is lowered
  bool has_lowered_ = false;                 // since something was missed
  std::size_t least_in_use_bytes_ = 0;       // in this epoch
  std::size_t least_in_use_before_bytes_ = 0;
};

}  // namespace miniheap::detail

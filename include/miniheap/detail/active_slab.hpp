// SPDX-License-Identifier: BSL-1.0
/// \file
/// The slab of one size class that an arena hands slots out from. It claims the free slots of a whole word of the
/// slab's bitmap at once, up to 64: handing one out is then a few instructions on one register, and a fresh slab needs
/// no list of its slots. Freed slots go back to the bitmap and are claimed when their word is looked at again.
#pragma once

#include <miniheap/detail/slab.hpp>

namespace miniheap::detail {

class active_slab {
 public:
  [[nodiscard]] bool has_claimed() const noexcept { return claimed_ != 0; }

  /// The slab, or nullptr. An entry is a cache line, so it is found from any word of its bitmap.
  [[nodiscard]] page_entry* slab() const noexcept {
    return reinterpret_cast<page_entry*>(align_down(address_of(word_), sizeof(page_entry)));
  }

  /// There are no slots left, claimed or not; or there is no slab.
  [[nodiscard]] bool is_exhausted() const noexcept { return claimed_ == 0 && (word_ == nullptr || is_full(*slab())); }

  /// Slots of the slab, which there is, in the program's hands.
  [[nodiscard]] std::uint32_t used_by_program() const noexcept { return used_slots(*slab()) - count(claimed_); }

  /// There is none.
  [[nodiscard]] bool is_idle() const noexcept { return word_ != nullptr && used_by_program() == 0; }

  /// Hands out a claimed slot; there is one.
  template <class Order>
  [[gnu::always_inline]] void* take_slot(std::size_t slot_bytes, Order& order) noexcept {
    const std::uint32_t slot = order.choose(claimed_);
    claimed_ &= Order::is_random ? ~(std::uint64_t{1} << slot) : claimed_ - 1;
    return base_ + slot * slot_bytes;
  }

  /// Hands out up to `want` claimed slots, a row of neighbours at a time; how many.
  std::uint32_t take_slots(std::size_t slot_bytes, void** slots, std::uint32_t want) noexcept {
    std::uint32_t taken = 0;
    while (taken < want && claimed_ != 0) {
      const auto first = static_cast<std::uint32_t>(std::countr_zero(claimed_));
      auto row = static_cast<std::uint32_t>(std::countr_one(claimed_ >> first));
      if (row > want - taken) row = want - taken;
      claimed_ &= ~(~std::uint64_t{0} >> (64 - row) << first);
      std::byte* slot = base_ + first * slot_bytes;
      for (; row != 0; --row, slot += slot_bytes) slots[taken++] = slot;
    }
    return taken;
  }

  /// How far behind the first slot of the claimed word `p` points, bytes; `reaches` tells whether it points into the
  /// word.
  [[nodiscard]] std::size_t offset_of(const void* p) const noexcept { return address_of(p) - address_of(base_); }
  [[nodiscard]] bool reaches(std::size_t offset_bytes) const noexcept { return offset_bytes < word_bytes_; }

  /// Whether slot `bit` of the claimed word is free.
  [[nodiscard]] bool is_free(std::uint64_t bit) const noexcept { return ((claimed_ | *word_) & bit) != 0; }

  /// Takes back a slot of the claimed word.
  void give_slot(std::uint64_t bit) noexcept { claimed_ |= bit; }

  /// What of a word of the slab's bitmap is claimed.
  [[nodiscard]] std::uint64_t claimed_of(const std::uint64_t& word) const noexcept {
    return &word == word_ ? claimed_ : 0;
  }

  /// Claims the free slots of another word of the slab, which has one. `memory` is where the slab's slots begin.
  void claim_word(page_entry& slab, std::byte* memory) noexcept {
    const std::uint32_t w = word_with_free_slot(slab);
    point_to(slab, w, memory + std::size_t{64} * w * shapes[class_of_slab(slab.kind)].slot_bytes);
    claimed_ = *word_;
    *word_ = 0;
    slab.used = static_cast<std::uint16_t>(slab.used + count(claimed_));
  }

  /// Gives what is claimed back to the bitmap.
  void unclaim() noexcept {
    if (claimed_ == 0) return;
    page_entry& slab = *this->slab();
    *word_ |= claimed_;
    slab.used = static_cast<std::uint16_t>(slab.used - count(claimed_));
    claimed_ = 0;
  }

  /// Starts to hand out from `slab`, which is in no bin and has a free slot; nothing is claimed of the one before.
  void activate(page_entry& slab, std::byte* memory) noexcept {
    slab.used |= active_mark;
    claim_word(slab, memory);
  }

  /// Gives what is claimed back to the slab and lets go of it.
  page_entry& deactivate() noexcept {
    page_entry& slab = *this->slab();
    unclaim();
    slab.used = static_cast<std::uint16_t>(used_slots(slab));
    *this = {};
    return slab;
  }

  [[nodiscard]] const char* check(std::uint32_t c) const noexcept {
    if (word_ == nullptr)
      return claimed_ == 0 && word_bytes_ == 0 ? nullptr : "without an active slab nothing is claimed";
    const page_entry& s = *slab();
    if (!is_active(s) || s.kind != slab_of_class(c)) return "an active slab is of its size class, and knows that it is";
    if (word_ < s.free || word_ >= s.free + slot_words) return "claimed slots are of a word of the slab";
    if ((claimed_ & *word_) != 0) return "a claimed slot is not free in the bitmap";
    const auto w = static_cast<std::uint32_t>(word_ - s.free);
    if (word_bytes_ != slots_of_word(s, w) * shapes[c].slot_bytes) return "the word ends with the slab";
    return (claimed_ & ~slot_mask(s.slots, w)) == 0 ? nullptr : "claimed slots exist";
  }

 private:
  /// Most often it is one or all; there is no instruction for it in plain x86-64.
  static std::uint32_t count(std::uint64_t bits) noexcept {
    if ((bits & (bits - 1)) == 0) return static_cast<std::uint32_t>(bits != 0);
    return ~bits == 0 ? 64 : static_cast<std::uint32_t>(std::popcount(bits));
  }

  static std::size_t slots_of_word(const page_entry& slab, std::uint32_t w) noexcept {
    return slab.slots - 64 * w < 64 ? slab.slots - 64 * w : 64;
  }

  void point_to(page_entry& slab, std::uint32_t w, std::byte* base) noexcept {
    word_ = &slab.free[w];
    base_ = base;
    word_bytes_ = slots_of_word(slab, w) * shapes[class_of_slab(slab.kind)].slot_bytes;
  }

  std::uint64_t claimed_ = 0;      // bit i: slot i of the word may be handed out
  std::byte* base_ = nullptr;      // slot 0 of the word
  std::uint64_t* word_ = nullptr;  // of the slab's bitmap; nullptr if and only if there is no slab
  std::size_t word_bytes_ = 0;     // of all slots of the word
};

}  // namespace miniheap::detail

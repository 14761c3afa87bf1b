// SPDX-License-Identifier: BSL-1.0
/// \file
/// In whose hands an allocation is: the program's, or a stock's (stock.hpp). To the arena both are in use; a thread
/// cache has to tell them apart, without a lock, to stop what is freed twice. How it does is a matter of the level of
/// checks; what is done to an allocation when it changes hands stands here.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/memory_tools.hpp>
#include <miniheap/detail/units.hpp>

namespace miniheap::detail {

/// Nobody looks.
template <check_level Level>
class custody {
 public:
  static constexpr bool is_watched = false;
  static constexpr bool is_told = Level != beneath_hardened;  // tools are
  explicit custody(const void* /*owner*/) noexcept {}
  static void to_stock(void* /*p*/) noexcept {}
  static void to_program(void* /*p*/) noexcept {}
  [[nodiscard]] static bool is_in_stock(const void* /*p*/) noexcept { return false; }
};

/// What is in stock bears a **mark** in its second word, which depends on where it lies and on who keeps it, and which
/// the program never gets to see: it is wiped out when an allocation goes to the program. The mark is a witness, no
/// link: whoever overwrites it gains nothing but that a double free goes unnoticed until the slot is back in the arena.
template <>
class custody<check_level::basic> {
 public:
  static constexpr bool is_watched = true;
  static constexpr bool is_told = true;
  explicit custody(const void* owner) noexcept : owner_{address_of(owner)} {}

  [[gnu::always_inline]] void to_stock(void* p) const noexcept { set(p, mark_of(p)); }
  [[gnu::always_inline]] static void to_program(void* p) noexcept { set(p, 0); }
  [[nodiscard, gnu::always_inline]] bool is_in_stock(const void* p) const noexcept {
    return is_in_use_by_stocks() && second_word(p) == mark_of(p);
  }

 private:
  using word [[gnu::may_alias]] = std::uint64_t;  // the smallest slot has two of them

  /// Valgrind would have a say on each.
  static bool is_in_use_by_stocks() noexcept { return memory_tools::are_built_in || !memory_tools::are_watching(); }

  MINIHEAP_UNWATCHED static std::uint64_t second_word(const void* p) noexcept { return static_cast<const word*>(p)[1]; }
  MINIHEAP_UNWATCHED static void write_second_word(void* p, std::uint64_t mark) noexcept {
    static_cast<word*>(p)[1] = mark;
  }
  [[gnu::always_inline]] static void set(void* p, std::uint64_t mark) noexcept {
    if (is_in_use_by_stocks()) write_second_word(p, mark);
  }

  /// No address, and no small number: those are what programs keep.
  [[gnu::always_inline]] std::uint64_t mark_of(const void* p) const noexcept { return ~(address_of(p) ^ owner_); }

  std::uintptr_t owner_;
};

}  // namespace miniheap::detail

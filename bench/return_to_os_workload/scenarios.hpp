// SPDX-License-Identifier: BSL-1.0
// The scenarios by name, and which of the programs play them.
#pragma once

#include "browser.hpp"
#include "churn.hpp"
#include "large_buffers.hpp"
#include "saw.hpp"
#include "server.hpp"
#include "shift.hpp"
#include "strings.hpp"
#include "survivors.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace return_to_os {

/// Those that play it: over malloc, over arenas and a pool in the program, over arenas of other policies.
enum programs : unsigned { of_malloc = 1, of_arenas = 2, of_policies = 4 };

template <class Memory>
struct scenario {
  std::string_view name;
  void (*play)(stage<Memory>&) noexcept;
  unsigned played_by;
};

template <class Memory>
inline constexpr scenario<Memory> scenarios[] = {
    {"browser", browser<Memory>::play, of_malloc | of_policies},
    {"survivors_0.1", survivors<Memory, 1>, of_malloc | of_arenas},
    {"survivors_1", survivors<Memory, 10>, of_malloc | of_arenas},
    {"survivors_5", survivors<Memory, 50>, of_malloc | of_arenas},
    {"survivors_10", survivors<Memory, 100>, of_malloc | of_arenas | of_policies},
    {"survivors_25", survivors<Memory, 250>, of_malloc | of_arenas},
    {"survivors_50", survivors<Memory, 500>, of_malloc | of_arenas},
    {"server", server<Memory>::play, of_malloc},
    {"shift", shift<Memory>, of_malloc | of_arenas},
    {"strings", strings<Memory>::play, of_malloc},
    {"large_buffers", large_buffers<Memory>, of_malloc},
    {"saw", saw<Memory>::play, of_malloc | of_policies},
    {"patience", patience<Memory>, of_malloc},
    {"churn", churn<Memory, 32, 16, 6, 0>::play, of_policies},
    {"churn_mixed", churn<Memory, 32, 16, 6, 20>::play, of_policies},
    {"churn_medium", churn<Memory, 64, 4 * KiB, 6, 20>::play, of_policies},
    {"nothing", [](stage<Memory>& s) noexcept { s.start(); }, of_malloc | of_arenas},
};

template <programs Program, class Memory>
constexpr auto chosen() noexcept {
  constexpr auto plays = [](const scenario<Memory>& s) { return (s.played_by & Program) != 0; };
  constexpr auto count = std::count_if(std::begin(scenarios<Memory>), std::end(scenarios<Memory>), plays);
  std::array<scenario<Memory>, static_cast<std::size_t>(count)> found{};
  std::copy_if(std::begin(scenarios<Memory>), std::end(scenarios<Memory>), found.begin(), plays);
  return found;
}

/// Those of one program. The others are no part of it: the more calls there are, the fewer a compiler inlines.
template <programs Program, class Memory>
inline constexpr auto scenarios_of = chosen<Program, Memory>();

/// Plays the scenario of that name and prints what was measured; false if the program has none.
template <programs Program, class Memory>
bool play(Memory& memory, meter::witness witness, std::string_view name, std::size_t percent) noexcept {
  for (const scenario<Memory>& s : scenarios_of<Program, Memory>) {
    if (s.name == name) {
      meter measured;
      measured.ask(witness);
      stage<Memory> here{memory, measured, percent};
      s.play(here);
      measured.print();
      return true;
    }
  }
  return false;
}

}  // namespace return_to_os

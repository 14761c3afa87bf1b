// SPDX-License-Identifier: BSL-1.0
// The scenarios by name, and the end of every program that plays them.
#pragma once

#include "browser.hpp"
#include "large_buffers.hpp"
#include "saw.hpp"
#include "server.hpp"
#include "shift.hpp"
#include "strings.hpp"
#include "survivors.hpp"

#include <string_view>

namespace return_to_os {

template <class Memory>
struct scenario {
  std::string_view name;
  void (*play)(stage<Memory>&) noexcept;
};

template <class Memory>
inline constexpr scenario<Memory> scenarios[] = {
    {"browser", browser<Memory>::play},
    {"survivors_0.1", survivors<Memory, 1>},
    {"survivors_1", survivors<Memory, 10>},
    {"survivors_5", survivors<Memory, 50>},
    {"survivors_10", survivors<Memory, 100>},
    {"survivors_25", survivors<Memory, 250>},
    {"survivors_50", survivors<Memory, 500>},
    {"server", server<Memory>::play},
    {"shift", shift<Memory>},
    {"strings", strings<Memory>::play},
    {"large_buffers", large_buffers<Memory>},
    {"saw", saw<Memory>::play},
    {"patience", patience<Memory>},
    {"nothing", [](stage<Memory>& s) noexcept { s.start(); }},
};

/// Plays the scenario of that name and prints what was measured; false if there is none.
template <class Memory, class Scenarios>
bool play(Memory& memory, meter::witness witness, const Scenarios& known, std::string_view name,
          std::size_t percent) noexcept {
  for (const scenario<Memory>& s : known) {
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

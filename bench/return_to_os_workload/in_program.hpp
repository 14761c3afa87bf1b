// SPDX-License-Identifier: BSL-1.0
// The end of the programs that bring what they play with, instead of malloc: PROGRAM CONTENDER SCENARIO [PERCENT].
#pragma once

#include "scenarios.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace return_to_os {

/// `play` is false where there is no such scenario.
struct contender {
  std::string_view name;
  bool (*play)(std::string_view scenario, std::size_t percent);
};

template <std::size_t Count>
int play_with_one_of(const contender (&known)[Count], int argc, char** argv) {
  const std::string_view name = argc > 2 ? argv[1] : "";
  const std::size_t percent = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 100;
  for (const contender& c : known) {
    if (c.name == name && c.play(argv[2], percent)) return 0;
  }
  std::fprintf(stderr, "usage: %s CONTENDER SCENARIO [PERCENT]; the contenders are:\n", argv[0]);
  for (const contender& c : known) std::fprintf(stderr, "  %s\n", c.name.data());
  return 2;
}

}  // namespace return_to_os

// SPDX-License-Identifier: BSL-1.0
// Plays one scenario with the malloc of the process: return_to_os SCENARIO PERCENT [trim]. With `trim` it calls
// malloc_trim wherever it has just freed much.

#include "scenarios.hpp"

#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

struct process_malloc {
  void* allocate(std::size_t bytes) noexcept { return std::malloc(bytes); }
  void deallocate(void* p, std::size_t) noexcept { std::free(p); }
  void* reallocate(void* p, std::size_t, std::size_t bytes) noexcept { return std::realloc(p, bytes); }
  void dropped() noexcept {
    if (trims) malloc_trim(0);
  }

  bool trims;
};

}  // namespace

int main(int argc, char** argv) {
  using namespace return_to_os;
  const std::string_view name = argc > 1 ? argv[1] : "";
  const std::size_t percent = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100;
  process_malloc memory{argc > 3 && std::string_view{argv[3]} == "trim"};
  if (play<of_malloc>(memory, {}, name, percent)) return 0;
  std::fprintf(stderr, "usage: %s SCENARIO [PERCENT [trim]]; the scenarios are:\n", argv[0]);
  for (const auto& s : scenarios_of<of_malloc, process_malloc>) std::fprintf(stderr, "  %s\n", s.name.data());
  return 2;
}

// SPDX-License-Identifier: BSL-1.0
// Replays the corpus: tests/fuzz/corpus/TARGET.hex has an input a line.
#include "catch.hpp"
#include "fuzz/bodies.hpp"

#include <charconv>
#include <fstream>
#include <vector>

namespace {

using bytes = std::vector<std::uint8_t>;

bytes from_hex(const std::string& digits) {
  bytes read;
  bool is_hex = digits.size() % 2 == 0;
  for (std::size_t n = 0; n < digits.size() && is_hex; n += 2) {
    const auto found = std::from_chars(&digits[n], &digits[n] + 2, read.emplace_back(), 16);
    is_hex = found.ptr == &digits[n] + 2;
  }
  REQUIRE(is_hex);
  return read;
}

void replay(const std::string& target, void (*body)(std::span<const std::uint8_t>)) {
  const std::string name = target + ".hex";
  std::ifstream file{MINIHEAP_FUZZ_CORPUS "/" + name};
  REQUIRE(file);
  std::size_t inputs = 0;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    INFO(name << ", line " << number);
    const bytes input = from_hex(line);
    REQUIRE_NOTHROW(body(input));
    ++inputs;
  }
  CHECK(inputs >= 20);
  REQUIRE_NOTHROW(body({}));
}

}  // namespace

TEST_CASE("fuzz: the corpus of the arena", "[fuzz]") { replay("arena", fuzz::arena); }
TEST_CASE("fuzz: the corpus of the page map", "[fuzz]") { replay("page_map", fuzz::page_map); }
TEST_CASE("fuzz: the corpus of malloc", "[fuzz]") { replay("malloc", fuzz::malloc); }

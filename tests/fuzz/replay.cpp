// SPDX-License-Identifier: BSL-1.0
// Replays the corpus: tests/fuzz/corpus/TARGET.base64 has an input a line.
#include "catch.hpp"
#include "fuzz/bodies.hpp"

#include <fstream>
#include <string_view>
#include <vector>

namespace {

using bytes = std::vector<std::uint8_t>;

bytes from_base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  bytes read;
  std::size_t bits = 0;
  unsigned waiting = 0;  // of `bits`, those that are in no byte yet
  bool is_base64 = true;
  for (const char digit : text.substr(0, text.find('='))) {
    is_base64 = is_base64 && digits.find(digit) != digits.npos;
    bits = bits << 6 | digits.find(digit);
    waiting += 6;
    if (waiting < 8) continue;
    waiting -= 8;
    read.push_back(static_cast<std::uint8_t>(bits >> waiting));
  }
  REQUIRE(is_base64);
  return read;
}

void replay(const std::string& target, void (*body)(std::span<const std::uint8_t>)) {
  const std::string name = target + ".base64";
  std::ifstream file{MINIHEAP_FUZZ_CORPUS "/" + name};
  REQUIRE(file);
  std::size_t inputs = 0;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    INFO(name << ", line " << number);
    const bytes input = from_base64(line);
    REQUIRE_NOTHROW(body(input));
    ++inputs;
  }
  CHECK(inputs >= 20);
  REQUIRE_NOTHROW(body({}));
}

}  // namespace

TEST_CASE("fuzz: the corpus is read as it was written", "[fuzz]") {
  CHECK(from_base64("AP8+") == bytes{0, 255, 62});
  CHECK(from_base64("AQ==") == bytes{1});
  CHECK(from_base64("gAk=") == bytes{128, 9});
}

TEST_CASE("fuzz: the corpus of the arena", "[fuzz]") { replay("arena", fuzz::arena); }
TEST_CASE("fuzz: the corpus of the page map", "[fuzz]") { replay("page_map", fuzz::page_map); }
TEST_CASE("fuzz: the corpus of malloc", "[fuzz]") { replay("malloc", fuzz::malloc); }

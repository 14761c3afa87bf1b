// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/text.hpp>

#include "catch.hpp"

#include <string>

using miniheap::detail::shortened;
using miniheap::detail::text_line;

TEST_CASE("text: numbers, pointers and columns", "[text]") {
  text_line line;
  line << "a" << std::size_t{0} << "," << std::size_t{18446744073709551615u} << reinterpret_cast<const void*>(0xdead0);
  CHECK(line.view() == "a0,184467440737095516150xdead0");

  text_line columns;
  columns.left("name", 6).right(42, 5).right(123456, 3).fill('-', 2);
  CHECK(columns.view() == "name     42123456--");
}

TEST_CASE("text: a shortened text has at most 100 characters", "[text]") {
  const std::string much(101, 'x');
  CHECK(shortened(much) == much.substr(0, 100));
  CHECK(shortened("short") == "short");
  CHECK(shortened("").empty());
}

TEST_CASE("text: what does not fit into a line is dropped", "[text]") {
  const std::string much(1000, 'x');
  text_line line;
  line << "begin" << std::string_view{much} << much.c_str() << std::size_t{7};
  CHECK(line.view().size() < 300);
  CHECK(line.view().substr(0, 6) == "beginx");
  CHECK(line.view().back() == 'x');
}

// SPDX-License-Identifier: BSL-1.0
#include "catch.hpp"
#include "model/combinations.hpp"

using namespace miniheap;

TEMPLATE_TEST_CASE("model: next_fit over mmap_source", "[model]", fullest_first, lowest_address_first, emptiest_first,
                   newest_first) {
  model::run<mmap_source, next_fit, TestType>();
}

// SPDX-License-Identifier: BSL-1.0
#include "catch.hpp"
#include "model/combinations.hpp"

using namespace miniheap;

TEMPLATE_TEST_CASE("model: best_fit over buffer_source", "[model]", fullest_first, lowest_address_first, emptiest_first,
                   newest_first) {
  model::run<buffer_source, best_fit, TestType>();
}

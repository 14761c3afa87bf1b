// SPDX-License-Identifier: BSL-1.0
#include "model/driver.hpp"

#include "catch.hpp"
#include "environment.hpp"
#include "model/shadow.hpp"

#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace model {
namespace {

std::vector<std::uint64_t> choose_seeds() {
  if (const auto seed = number_from_environment("MINIHEAP_TEST_SEED")) return {*seed};
  const std::uint64_t fresh = std::random_device{}();
  std::cout << "fresh seed: " << fresh << " (again with MINIHEAP_TEST_SEED=" << fresh << ")" << std::endl;
  return {1, 20050607, fresh};
}

const std::vector<std::uint64_t>& seeds() {
  static const std::vector<std::uint64_t> chosen = choose_seeds();
  return chosen;
}

}  // namespace

void run_seeds(std::uint64_t shares, const std::function<std::unique_ptr<tested_arena>()>& make) {
  const std::uint64_t all = wanted_operations();
  const std::uint64_t operations = all * shares / all_shares / seeds().size() + 1;
  for (const std::uint64_t seed : seeds()) {
    const std::unique_ptr<tested_arena> arena = make();
    const std::string broken = drive(*arena, seed, operations);
    INFO("MINIHEAP_TEST_SEED=" << seed << ", MINIHEAP_TEST_OPERATIONS=" << all);
    INFO(broken);
    REQUIRE(broken.empty());
  }
}

}  // namespace model

// SPDX-License-Identifier: BSL-1.0
// Threads that have nothing to do with each other: each replaces random ones of its own 10,000 objects of usual sizes.
// The work of a thread is the same however many there are. Arguments: percent of the work, threads (1).

#include "common.hpp"

#include <cstddef>
#include <thread>
#include <vector>

namespace {

using namespace workload;

constexpr std::size_t live_objects = 10'000;

void churn(std::size_t seed, std::size_t operations) {
  numbers random{seed};
  std::vector<object> live(live_objects);
  for (std::size_t i = 0; i < operations; ++i) {
    object& o = live[random.below(live_objects)];
    drop(o);
    o = make(usual_size(random));
  }
  for (object& o : live) drop(o);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t operations = scaled(20'000'000, argc, argv);
  const std::size_t threads = argument(argc, argv, 2, 1);
  const stopwatch watch;
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < threads; ++i) workers.emplace_back(churn, i + 1, operations);
  for (std::thread& t : workers) t.join();
  report("operations_per_second", static_cast<double>(operations * threads) / watch.seconds());
}

// SPDX-License-Identifier: BSL-1.0
// A burst of 1,000 to 100,000 objects is allocated, then freed: in the order of allocation, in reverse, or in no order.
// Each burst has its own mean size, as each kind of request to a server has.

#include "common.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace {

using namespace workload;

enum class order { same, reverse, none };

void burst(numbers& random, std::vector<object>& live, std::size_t count) {
  const std::size_t largest = log_size(random, 32, 5);
  for (std::size_t i = 0; i < count; ++i) live.push_back(make(random.between(16, largest)));

  const auto chosen = static_cast<order>(random.below(3));
  if (chosen == order::reverse) std::reverse(live.begin(), live.end());
  if (chosen == order::none) {
    for (std::size_t i = count; i > 1; --i) std::swap(live[i - 1], live[random.below(i)]);
  }
  for (object& o : live) drop(o);
  live.clear();
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t objects = scaled(16'000'000, argc, argv);
  const stopwatch watch;
  numbers random{3};
  std::vector<object> live;
  live.reserve(100'000);
  std::size_t done = 0;
  while (done < objects) {
    const std::size_t count = std::min<std::size_t>(log_size(random, 1'000, 7), 100'000);
    burst(random, live, count);
    done += count;
  }
  report("operations_per_second", static_cast<double>(done) / watch.seconds());
}

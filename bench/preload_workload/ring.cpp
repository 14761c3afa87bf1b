// SPDX-License-Identifier: BSL-1.0
// Four threads in a ring: each allocates a batch, hands it to the next one, and puts what it got itself in the place of
// older objects, which it frees. So almost nothing is freed by the thread that allocated it.

#include "bounded_queue.hpp"
#include "common.hpp"

#include <array>
#include <cstddef>
#include <thread>
#include <vector>

namespace {

using namespace workload;

constexpr std::size_t threads = 4;
constexpr std::size_t batch_size = 1000;
constexpr std::size_t kept = 10'000;  // objects that a thread holds

using batch = std::array<object, batch_size>;

// Two places: with one batch out and one batch in for each round, no thread can wait for all the others.
std::array<bounded_queue<batch, 2>, threads> queues;

void member(std::size_t self, std::size_t rounds) {
  numbers random{self + 1};
  std::vector<object> live(kept);
  batch b;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (object& o : b) o = make(usual_size(random));
    queues[(self + 1) % threads].push(b);
    if (!queues[self].pop(b)) die("a queue ended early");
    for (const object& o : b) {
      object& place = live[random.below(kept)];
      drop(place);
      place = o;
    }
  }
  for (object& o : live) drop(o);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = scaled(2500, argc, argv);
  const stopwatch watch;
  std::vector<std::thread> members;
  for (std::size_t i = 0; i < threads; ++i) members.emplace_back(member, i, rounds);
  for (std::thread& t : members) t.join();
  report("operations_per_second", static_cast<double>(rounds * threads * batch_size) / watch.seconds());
}

// SPDX-License-Identifier: BSL-1.0
// One thread allocates messages of usual sizes, another reads and frees them: one by one, or in batches whose list is
// allocated too. Arguments: percent of the work, messages in a batch (1).

#include "bounded_queue.hpp"
#include "common.hpp"

#include <cstddef>
#include <thread>
#include <vector>

namespace {

using namespace workload;

struct batch {
  std::vector<object>* messages = nullptr;
};

void one_by_one(std::size_t messages) {
  static bounded_queue<object, 2048> queue;
  std::thread consumer([] {
    object message;
    while (queue.pop(message)) drop(message);
  });
  numbers random{1};
  for (std::size_t i = 0; i < messages; ++i) queue.push(make(usual_size(random)));
  queue.close();
  consumer.join();
}

void in_batches(std::size_t messages, std::size_t batch_size) {
  static bounded_queue<batch, 16> queue;
  std::thread consumer([] {
    batch b;
    while (queue.pop(b)) {
      for (object& message : *b.messages) drop(message);
      delete b.messages;
    }
  });
  numbers random{2};
  for (std::size_t i = 0; i < messages; i += batch_size) {
    auto* const list = new std::vector<object>;
    for (std::size_t j = 0; j < batch_size; ++j) list->push_back(make(usual_size(random)));
    queue.push({list});
  }
  queue.close();
  consumer.join();
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t messages = scaled(8'000'000, argc, argv);
  const std::size_t batch_size = argument(argc, argv, 2, 1);
  const stopwatch watch;
  batch_size == 1 ? one_by_one(messages) : in_batches(messages, batch_size);
  report("operations_per_second", static_cast<double>(messages) / watch.seconds());
}

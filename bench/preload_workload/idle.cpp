// SPDX-License-Identifier: BSL-1.0
// Eight threads build up a load of some 250 MiB, replace half of it, free all of it, and stay, with nothing to do.
// Prints what the process then has in memory, beyond what it had with its threads before the load, over the peak.

#include "common.hpp"

#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

using namespace workload;

constexpr std::size_t threads = 8;
constexpr std::size_t live_objects = 65'000;  // of each thread

std::barrier<> step{threads + 1};
std::vector<std::vector<object>> live(threads);

double resident_mib() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  long total = 0;
  long resident = 0;
  if (file == nullptr || std::fscanf(file, "%ld %ld", &total, &resident) != 2) die("no /proc/self/statm");
  std::fclose(file);
  return static_cast<double>(resident) * 4 / 1024;
}

void member(std::size_t self) {
  numbers random{self + 1};
  step.arrive_and_wait();  // all threads are there: the memory they take by themselves is no part of the load
  step.arrive_and_wait();
  live[self].resize(live_objects);
  for (object& o : live[self]) o = make(usual_size(random));
  for (std::size_t i = 0; i < live_objects / 2; ++i) {
    object& o = live[self][random.below(live_objects)];
    drop(o);
    o = make(usual_size(random));
  }
  step.arrive_and_wait();  // the peak
  step.arrive_and_wait();
  std::vector<object>& other = live[(self + 1) % threads];  // half of it is freed by somebody else
  for (std::size_t i = 0; i < live_objects; i += 2) drop(other[i]);
  step.arrive_and_wait();
  for (object& o : live[self]) drop(o);
  std::vector<object>().swap(live[self]);
  step.arrive_and_wait();  // all is freed; now idle
  step.arrive_and_wait();
}

}  // namespace

int main() {
  std::vector<std::thread> members;
  for (std::size_t i = 0; i < threads; ++i) members.emplace_back(member, i);
  step.arrive_and_wait();
  const double before = resident_mib();
  step.arrive_and_wait();
  step.arrive_and_wait();
  const double peak = resident_mib() - before;
  step.arrive_and_wait();
  step.arrive_and_wait();
  step.arrive_and_wait();
  const double at_once = resident_mib() - before;
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const double later = resident_mib() - before;
  step.arrive_and_wait();
  for (std::thread& t : members) t.join();
  report("peak_mib", peak);
  report("at_once_mib", at_once);
  report("after_a_second_mib", later);
}

// SPDX-License-Identifier: BSL-1.0
// Two threads write to small objects of their own, many times. An allocator that puts objects of two threads into one
// line of the cache makes them wait for each other. Arguments: percent of the work, and 0: each thread allocates its
// objects; 1: the first one comes from the main thread, which allocated all of them side by side, and is freed by the
// thread, which may now get the memory between its neighbour's objects.

#include "common.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using namespace workload;

constexpr std::size_t threads = 2;
constexpr std::size_t writes = 400;

unsigned char* small_object(std::size_t size) {
  auto* const bytes = static_cast<unsigned char*>(std::malloc(size));
  if (bytes == nullptr) die("out of memory");
  return bytes;
}

void hammer(unsigned char* bytes, std::size_t size) {
  volatile unsigned char* const target = bytes;
  for (std::size_t i = 0; i < size; ++i) target[i] = static_cast<unsigned char>(i);
  for (std::size_t i = 0; i < writes; ++i) {
    volatile unsigned char& byte = target[i % size];
    byte = static_cast<unsigned char>(byte + 1);
  }
}

void worker(unsigned char* first, std::size_t rounds) {
  std::free(first);
  for (std::size_t i = 0; i < rounds; ++i) {
    const std::size_t size = 8u << (i % 3);
    unsigned char* const mine = small_object(size);
    hammer(mine, size);
    std::free(mine);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = scaled(3'500'000, argc, argv);
  const bool handed_over = argument(argc, argv, 2, 0) != 0;
  const stopwatch watch;
  std::array<unsigned char*, threads> first{};
  if (handed_over) {
    for (unsigned char*& p : first) p = small_object(8);
  }
  std::vector<std::thread> workers;
  workers.reserve(threads);
  for (unsigned char* const p : first) workers.emplace_back(worker, p, rounds);
  for (std::thread& t : workers) t.join();
  report("operations_per_second", static_cast<double>(rounds * threads) / watch.seconds());
}

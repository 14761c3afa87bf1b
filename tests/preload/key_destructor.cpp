// SPDX-License-Identifier: BSL-1.0
// Destructors of pthread keys allocate, resize and free, again and again, while their thread ends.
#include <pthread.h>

#include <new>

#include "expect.hpp"

using namespace preload_tests;

namespace {

pthread_key_t first_key;
pthread_key_t last_key;  // created last, perhaps after the one of the library itself
int rounds = 0;          // one thread at a time

struct held {
  filled memory;
  int round;
};

void* make_held(int round) {
  void* const p = std::malloc(sizeof(held));
  expect(p != nullptr, "there is memory");
  return new (p) held{filled::make(static_cast<std::size_t>(50 + 100 * round), 9), round};
}

void destroy(pthread_key_t key, void* value) {
  held h = *static_cast<held*>(value);
  std::free(value);
  h.memory.resize(20000);
  h.memory.resize(30);
  filled scratch[100];
  for (std::size_t i = 0; i < 100; ++i) scratch[i] = filled::make(i * 37 % 3000 + 1, static_cast<unsigned char>(i));
  for (const filled& f : scratch) f.end();
  h.memory.end();
  ++rounds;
  // POSIX promises four rounds of destructors as long as values are set.
  if (h.round < 3) expect(::pthread_setspecific(key, make_held(h.round + 1)) == 0, "a key keeps a value");
}

void destroy_first(void* value) { destroy(first_key, value); }
void destroy_last(void* value) { destroy(last_key, value); }

void* run(void*) {
  ::pthread_setspecific(first_key, make_held(0));
  ::pthread_setspecific(last_key, make_held(0));
  return std::malloc(500);
}

}  // namespace

int main() {
  expect_replaced();
  expect(::pthread_key_create(&first_key, destroy_first) == 0, "there is a key");
  std::free(std::malloc(1));
  expect(::pthread_key_create(&last_key, destroy_last) == 0, "there is another key");
  constexpr int threads = 100;
  for (int n = 0; n < threads; ++n) {
    pthread_t thread{};
    void* result = nullptr;
    expect(::pthread_create(&thread, nullptr, run, nullptr) == 0, "there is a thread");
    expect(::pthread_join(thread, &result) == 0, "a thread ends");
    std::free(result);
  }
  expect(rounds == threads * 2 * 4, "each destructor ran four times in each thread");
}

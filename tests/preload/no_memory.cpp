// SPDX-License-Identifier: BSL-1.0
// The address space has an end: C gets nullptr and ENOMEM, C++ its exceptions, and the program goes on.
#include <sys/resource.h>
#include <cerrno>
#include <new>
#include <string>
#include <vector>

#include "expect.hpp"

using namespace preload_tests;

namespace {

constexpr std::size_t MiB = std::size_t{1} << 20;
std::vector<void*> hoard;
int handler_calls = 0;

/// Or the compiler would do without what is not looked at.
void keep(const void* p) { asm volatile("" : : "r"(p) : "memory"); }

void limit_address_space(std::size_t bytes) {
  const rlimit limit{bytes, RLIM_INFINITY};
  expect(::setrlimit(RLIMIT_AS, &limit) == 0, "there can be a limit");
}

/// Lets go of what was hoarded, so that the next attempt succeeds.
void spend_hoard() {
  ++handler_calls;
  for (void* const p : hoard) std::free(p);
  hoard.clear();
  std::set_new_handler(nullptr);
}

void fill(std::size_t bytes) {
  errno = 0;
  while (void* const p = std::malloc(bytes)) hoard.push_back(p);
  expect(errno == ENOMEM, "the end of memory is ENOMEM");
}

template <class Exception, class Body>
bool throws(Body body) {
  try {
    body();
  } catch (const Exception&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  expect_replaced();
  hoard.reserve(1000000);
  limit_address_space(512 * MiB);
  for (const std::size_t bytes : {std::size_t{600}, 20000 * std::size_t{1}, MiB, 16 * MiB}) {
    fill(bytes);
    expect(hoard.size() * bytes > 100 * MiB, "much of the memory can be had");
    expect(throws<std::bad_alloc>([] { keep(::operator new(64 * MiB)); }), "new throws bad_alloc");
    expect(throws<std::bad_alloc>([] { keep(::operator new (64 * MiB, std::align_val_t{4096})); }),
           "aligned new throws bad_alloc");
    expect(throws<std::bad_alloc>([] { keep(std::string(400 * MiB, 'x').data()); }), "a string throws bad_alloc");
    expect(::operator new(64 * MiB, std::nothrow) == nullptr, "nothrow new returns nullptr");
    std::set_new_handler(spend_hoard);
    char* const p = new char[64 * MiB];
    expect(handler_calls == 1, "the handler is called once");
    p[0] = p[64 * MiB - 1] = 1;
    delete[] p;
    handler_calls = 0;
  }
  std::set_new_handler([] { throw std::string("mine"); });
  expect(throws<std::string>([] { keep(::operator new(900 * MiB)); }), "what a handler throws comes through");
  expect(::operator new(900 * MiB, std::nothrow) == nullptr, "nothrow new catches what a handler throws");
}

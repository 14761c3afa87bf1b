// SPDX-License-Identifier: BSL-1.0
// Does one misdeed, named by its argument; the script looks at the message.
#include "expect.hpp"

using namespace preload_tests;

extern "C" [[gnu::weak]] void free_sized(void* p, std::size_t bytes) noexcept;

int main(int count, char** arguments) {
  expect_replaced();
  expect(count == 2, "a misdeed is named");
  const auto is = [&](const char* name) { return std::strcmp(arguments[1], name) == 0; };
  auto* volatile p = static_cast<char*>(std::malloc(100));
  if (is("double-free")) {
    std::free(p);
    std::free(p);
  } else if (is("double-delete")) {
    ::operator delete(static_cast<void*>(p));
    ::operator delete(static_cast<void*>(p));
  } else if (is("foreign")) {
    static char here[64];
    p = here + 16;
    std::free(p);
  } else if (is("interior")) {
    std::free(p + 16);
  } else if (is("wrong-size")) {
    free_sized(p, 5000);
  } else {
    expect(false, "the misdeed is known");
  }
}

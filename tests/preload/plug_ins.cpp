// SPDX-License-Identifier: BSL-1.0
// A program without a C++ runtime loads and unloads shared objects that have one; memory goes from one to the other.
// Arguments: two plug-ins.
#include <cstdint>

#include "expect.hpp"

using namespace preload_tests;

namespace {

class plug_in {
 public:
  explicit plug_in(const char* file) : library_{::dlopen(file, RTLD_NOW | RTLD_LOCAL)} {
    expect(library_ != nullptr, "a plug-in can be loaded");
  }
  ~plug_in() { expect(::dlclose(library_) == 0, "a plug-in can be unloaded"); }
  plug_in(const plug_in&) = delete;
  plug_in& operator=(const plug_in&) = delete;

  template <class Function>
  Function* find(const char* name) const {
    void* const found = ::dlsym(library_, name);
    expect(found != nullptr, "a plug-in has its functions");
    return reinterpret_cast<Function*>(found);
  }

  [[nodiscard]] void* make(std::size_t n) const { return find<void*(std::size_t)>("plug_in_make")(n); }
  void take(void* made, std::size_t n) const {
    expect(find<int(void*, std::size_t)>("plug_in_take")(made, n) == 1, "memory is the same for both");
  }
  void verify() const { expect(find<int()>("plug_in_is_sound")() == 1, "what the constructor allocated is there"); }

 private:
  void* library_;
};

void cross(const char* first, const char* second) {
  const plug_in a{first};
  void* const from_a = a.make(200);
  {
    const plug_in b{second};
    b.verify();
    b.take(from_a, 200);
    void* const from_b = b.make(90);
    a.take(from_b, 90);
  }
  a.verify();
}

}  // namespace

int main(int count, char** arguments) {
  expect_replaced();
  expect(count == 3, "two plug-ins are named");
  expect(::dlsym(RTLD_DEFAULT, "__cxa_throw") == nullptr, "the program has no C++ runtime");
  expect(std::malloc(std::size_t{PTRDIFF_MAX}) == nullptr, "there is an end to memory");
  for (int n = 0; n < 100; ++n) cross(arguments[1 + n % 2], arguments[2 - n % 2]);
  const plug_in last{arguments[1]};
  constexpr std::size_t too_many_bytes = std::size_t{1} << 60;
  expect(last.find<int(std::size_t)>("plug_in_catches_bad_alloc")(too_many_bytes) == 1, "a late runtime is found");
  expect(last.find<int(std::size_t)>("plug_in_calls_handler")(too_many_bytes) == 1, "a late new-handler is found");
}

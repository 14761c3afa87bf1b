// SPDX-License-Identifier: BSL-1.0
// What C++ promises of operator new where memory is missing: the handler, bad_alloc, nullptr.
#include "../catch.hpp"
#include "scene.hpp"

using namespace malloc_tests;

namespace {

int handler_calls = 0;

/// Sets the new-handler for a scope.
class with_handler {
 public:
  explicit with_handler(std::new_handler handler) : before_{std::set_new_handler(handler)} { handler_calls = 0; }
  ~with_handler() { std::set_new_handler(before_); }
  with_handler(const with_handler&) = delete;
  with_handler& operator=(const with_handler&) = delete;

 private:
  std::new_handler before_;
};

void give_up_the_third_time() {
  if (++handler_calls == 3) std::set_new_handler(nullptr);
}

struct handler_error {};
void throw_at_once() {
  ++handler_calls;
  throw handler_error{};
}

}  // namespace

TEST_CASE("operator new calls the handler until there is memory", "[malloc]") {
  static scene* s = nullptr;
  static void* pinned = nullptr;
  scene here;
  s = &here;
  pinned = here.api.malloc(3 * MiB);
  const with_handler handler{[] {
    if (++handler_calls == 3) s->api.free(pinned);
  }};
  void* const p = here.api.operator_new(2 * MiB);
  CHECK(p != nullptr);
  CHECK(handler_calls == 3);
  here.api.operator_delete(p, 2 * MiB);
  pinned = here.api.malloc(3 * MiB);
  handler_calls = 0;
  CHECK(here.api.operator_new_nothrow(2 * MiB) != nullptr);
  CHECK(handler_calls == 3);
}

TEST_CASE("operator new without memory: what the handler throws, else bad_alloc, or nullptr", "[malloc]") {
  scene s;
  CHECK_THROWS_AS(s.api.operator_new(2 * limit_bytes), std::bad_alloc);
  CHECK(s.api.operator_new_nothrow(2 * limit_bytes, 64) == nullptr);
  {
    const with_handler handler{give_up_the_third_time};
    CHECK_THROWS_AS(s.api.operator_new(2 * limit_bytes), std::bad_alloc);
    CHECK(handler_calls == 3);
  }
  {
    const with_handler handler{throw_at_once};
    CHECK_THROWS_AS(s.api.operator_new(2 * limit_bytes, 64), handler_error);
    CHECK(s.api.operator_new_nothrow(2 * limit_bytes) == nullptr);
    CHECK(handler_calls == 2);
    CHECK_THROWS_AS(s.api.operator_new(8, 24), std::bad_alloc);  // no handler makes 24 a power of two
    CHECK(s.api.operator_new_nothrow(8, 0) == nullptr);
    CHECK(handler_calls == 2);
  }
  CHECK(s.live() == 0);
}

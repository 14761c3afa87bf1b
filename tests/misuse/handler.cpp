// SPDX-License-Identifier: BSL-1.0
// A program that wants to hear of a fault itself.
#include <string_view>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

const void* expected = nullptr;

void exit_with_seven(const miniheap::fault_info& fault, std::string_view line) noexcept {
  const bool is_told = fault.pointer == expected && std::string_view{fault.fault} == faults::double_free &&
                       std::string_view{fault.arena_name} == "handled" && fault.bytes == small_bytes &&
                       fault.miniheap != nullptr && line.find("double free") != std::string_view::npos;
  ::_exit(is_told ? 7 : 8);
}

}  // namespace

TEST_CASE("a program's own handler hears of a fault instead of stderr", "[misuse]") {
  const auto how = in_child([](culprit&) {
    default_arena arena{"handled"};
    static_cast<void>(arena.allocate(small_bytes));
    void* const p = arena.allocate(small_bytes);
    expected = p;
    if (miniheap::set_fault_handler(exit_with_seven) != nullptr) ::_exit(9);
    if (miniheap::set_fault_handler(exit_with_seven) != exit_with_seven) ::_exit(10);
    arena.deallocate(p);
    arena.deallocate(p);
  });
  CHECK(how.exit_code == 7);
  CHECK(how.text.empty());
}

TEST_CASE("when a handler of faults returns, the program ends", "[misuse]") {
  const auto how = in_child([](culprit&) {
    default_arena arena{"handled"};
    static_cast<void>(miniheap::set_fault_handler([](const miniheap::fault_info&, std::string_view) noexcept {}));
    int local = 0;
    arena.deallocate(unsuspected(&local));
  });
  CHECK(how.signal == SIGABRT);
  CHECK(how.text.empty());
}

// SPDX-License-Identifier: BSL-1.0
// stack, queue and priority_queue, which hand an allocator on; nested containers; shared_ptr.
#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <queue>
#include <scoped_allocator>
#include <stack>
#include <string>
#include <vector>

#include "support.hpp"

using namespace containers;

namespace {

template <class Environment, class T>
using allocator = typename Environment::template allocator<T>;

}  // namespace

TEMPLATE_TEST_CASE("stack, queue and priority_queue", "[containers]", over_tiny, over_default, over_static) {
  TestType env;
  const auto from = env.template get<tracked>();
  {
    std::stack<tracked, std::deque<tracked, allocator<TestType, tracked>>> stack(from);
    std::queue<tracked, std::list<tracked, allocator<TestType, tracked>>> queue(from);
    std::priority_queue<tracked, std::vector<tracked, allocator<TestType, tracked>>> highest(from);
    for (int i = 0; i < 5000; ++i) {
      const int n = i * 4001 % 5000;  // each number once
      stack.push(n);
      queue.push(n);
      highest.push(n);
    }
    require_valid(env.arena);
    auto stack_copy = stack;
    const decltype(queue) queue_with_allocator(queue, from);
    REQUIRE(queue_with_allocator == queue);
    for (int i = 4999; i >= 0; --i) {
      const int n = i * 4001 % 5000;
      REQUIRE(stack.top().value() == n);
      REQUIRE(highest.top().value() == i);
      REQUIRE(queue.front().value() == (4999 - i) * 4001 % 5000);
      stack.pop();
      highest.pop();
      queue.pop();
    }
    REQUIRE(stack.empty());
    swap(stack, stack_copy);
    REQUIRE(stack.size() == 5000);
    require_valid(env.arena);
  }
  REQUIRE(tracked::alive == 0);
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("containers in containers, all in the arena", "[containers]", over_tiny, over_default, over_static) {
  TestType env;
  using string = std::basic_string<char, std::char_traits<char>, allocator<TestType, char>>;
  using strings = std::vector<string, allocator<TestType, string>>;
  using entry = std::pair<const string, strings>;
  using table = std::map<string, strings, std::less<>, allocator<TestType, entry>>;
  const auto text = [](int i) { return "a string that is longer than its own buffer, number " + std::to_string(i); };
  {
    table t(env.template get<entry>());
    for (int i = 0; i < 100; ++i) {
      strings inner(env.template get<string>());
      for (int k = 0; k < i % 10; ++k) inner.emplace_back(text(k).c_str(), env.template get<char>());
      t.emplace(string(text(i).c_str(), env.template get<char>()), std::move(inner));
    }
    require_valid(env.arena);

    const table copy(t);
    REQUIRE(copy == t);
    for (int i = 0; i < 100; i += 2) t.erase(string(text(i).c_str(), env.template get<char>()));
    REQUIRE(t.size() == 50);
    require_valid(env.arena);
    t = copy;
    for (int i = 0; i < 100; ++i) {
      const auto& inner = t.at(string(text(i).c_str(), env.template get<char>()));
      REQUIRE(inner.size() == static_cast<std::size_t>(i % 10));
      for (std::size_t k = 0; k < inner.size(); ++k) REQUIRE(std::string_view(inner[k]) == text(static_cast<int>(k)));
    }
  }
  require_empty(env.arena);
}

TEST_CASE("scoped_allocator_adaptor hands the arena to inner containers", "[containers]") {
  over_tiny env;
  using inner = std::vector<int, over_tiny::allocator<int>>;
  using outer = std::vector<inner, std::scoped_allocator_adaptor<over_tiny::allocator<inner>>>;
  {
    outer all(env.get<inner>());
    for (int i = 0; i < 300; ++i) all.emplace_back(static_cast<std::size_t>(i), i);  // no allocator named
    for (int i = 0; i < 300; ++i) {
      REQUIRE(all[static_cast<std::size_t>(i)].get_allocator() == env.get<int>());
      REQUIRE(std::count(all[static_cast<std::size_t>(i)].begin(), all[static_cast<std::size_t>(i)].end(), i) == i);
    }
    REQUIRE(env.arena.stats().allocations == 300);  // 299 that are not empty, and the outer one
    require_valid(env.arena);
  }
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("allocate_shared", "[containers]", over_tiny, over_default, over_static) {
  TestType env;
  {
    std::weak_ptr<tracked> last;
    std::vector<std::shared_ptr<tracked>> pointers;
    for (int i = 0; i < 1000; ++i) pointers.push_back(std::allocate_shared<tracked>(env.template get<tracked>(), i));
    REQUIRE(env.arena.stats().allocations == 1000);  // object and counters in one
    require_valid(env.arena);
    last = pointers.back();
    pointers.resize(500);
    REQUIRE(last.expired());
    REQUIRE(env.arena.stats().allocations == 501);  // counters live as long as a weak_ptr looks at them
    for (int i = 0; i < 500; ++i) REQUIRE(pointers[static_cast<std::size_t>(i)]->value() == i);
    const auto array = std::allocate_shared<tracked[]>(env.template get<tracked>(), 100, tracked(5));
    REQUIRE(array[99].value() == 5);
    const std::shared_ptr<tracked> with_deleter(new tracked(3), std::default_delete<tracked>(),
                                                env.template get<tracked>());
    require_valid(env.arena);
  }
  REQUIRE(tracked::alive == 0);
  require_empty(env.arena);
}

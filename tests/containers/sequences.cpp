// SPDX-License-Identifier: BSL-1.0
// vector, deque, list, forward_list, vector<bool> and basic_string, beside the same with std::allocator.
#include <algorithm>
#include <deque>
#include <forward_list>
#include <list>
#include <string>
#include <vector>

#include "support.hpp"

using namespace containers;

namespace {

template <class A, class B>
bool same(const A& a, const B& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

const auto push_back = [](auto& sequence, int n) {
  for (int i = 0; i < n; ++i) sequence.push_back(i + n);
};

/// Random insertions, erasures and assignments, at both ends and in the middle, beside a model.
template <class Sequence, class Model, class Environment>
void compare_with_model(Environment& env) {
  {
    Sequence sequence(env.template get<typename Sequence::value_type>());
    Model model;
    sequence_of_numbers random;
    for (int step = 0; step < 3000; ++step) {
      const int at = random.below(static_cast<int>(model.size()) + 1);
      switch (random.below(step < 2000 ? 5 : 8)) {  // first it grows, then it shrinks
        case 0:
        case 1:
          sequence.push_back(step), model.push_back(step);
          break;
        case 2:
          sequence.insert(std::next(sequence.begin(), at), step), model.insert(std::next(model.begin(), at), step);
          break;
        case 3: {
          sequence.insert(std::next(sequence.begin(), at), 3, step);
          model.insert(std::next(model.begin(), at), 3, step);
          break;
        }
        default: {
          const int some = std::min(at, step < 2000 ? 1 : 8);
          sequence.erase(std::next(sequence.begin(), at - some), std::next(sequence.begin(), at));
          model.erase(std::next(model.begin(), at - some), std::next(model.begin(), at));
        }
      }
      if (step % 100 == 0) {
        require(same(sequence, model), "the same as std::allocator gives");
        require_valid(env.arena);
      }
    }
    sequence.resize(2000, 7);
    model.resize(2000, 7);
    require(same(sequence, model), "the same as std::allocator gives");
    sequence.assign(10, 3);
    model.assign(10, 3);
    require(same(sequence, model), "the same as std::allocator gives");
  }
  require_empty(env.arena);
}

}  // namespace

TEMPLATE_TEST_CASE("vector", "[containers]", over_tiny, over_default, over_static) {
  TestType env;
  using vector = std::vector<tracked, typename TestType::template allocator<tracked>>;
  live_and_die<vector>(env, push_back);
  compare_with_model<vector, std::vector<tracked>>(env);

  SECTION("shrink_to_fit gives memory back") {
    vector v(10'000, tracked(1), env.template get<tracked>());
    const auto before = env.arena.stats().live_bytes;
    v.resize(10);
    v.shrink_to_fit();
    REQUIRE(v.capacity() == 10);
    REQUIRE(env.arena.stats().live_bytes < before / 100);
    require_valid(env.arena);
  }
  SECTION("a vector that grows to a mapping of its own and back") {
    vector v(env.template get<tracked>());
    for (int i = 0; i < 300'000; ++i) v.push_back(i);
    REQUIRE(env.arena.stats().mappings == 1);
    for (int i = 0; i < 300'000; i += 1000) REQUIRE(v[static_cast<std::size_t>(i)].value() == i);
    v.clear();
    v.shrink_to_fit();
    REQUIRE(env.arena.stats().mappings == 0);
  }
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("vector<bool>", "[containers]", over_tiny, over_static) {
  TestType env;
  using vector = std::vector<bool, typename TestType::template allocator<bool>>;
  {
    vector v(env.template get<bool>());
    std::vector<bool> model;
    for (int i = 0; i < 10'000; ++i) v.push_back(i % 3 == 0), model.push_back(i % 3 == 0);
    REQUIRE(same(v, model));
    vector copy(v);
    copy.flip();
    REQUIRE(copy != v);
    swap(copy, v);
    v.flip();
    REQUIRE(same(v, model));
    require_valid(env.arena);
  }
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("deque", "[containers]", over_tiny, over_static) {
  TestType env;
  using deque = std::deque<tracked, typename TestType::template allocator<tracked>>;
  live_and_die<deque>(env, push_back);
  compare_with_model<deque, std::deque<tracked>>(env);

  SECTION("as a queue: constant live size, long life") {
    deque d(env.template get<tracked>());
    for (int i = 0; i < 20'000; ++i) {
      d.push_front(i);
      if (d.size() > 300) {
        REQUIRE(d.back().value() == i - 300);
        d.pop_back();
      }
    }
    require_valid(env.arena);
  }
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("list", "[containers]", over_tiny, over_static) {
  TestType env;
  using list = std::list<tracked, typename TestType::template allocator<tracked>>;
  live_and_die<list>(env, push_back);
  compare_with_model<list, std::list<tracked>>(env);

  SECTION("splice, sort, unique, merge and remove_if move nodes, not elements") {
    list a(env.template get<tracked>());
    list b(env.template get<tracked>());
    std::list<tracked> model_a, model_b;
    sequence_of_numbers random;
    for (int i = 0; i < 2000; ++i) {
      const int n = random.below(500);
      (i % 2 == 0 ? a : b).push_back(n);
      (i % 2 == 0 ? model_a : model_b).push_back(n);
    }
    const auto before = env.arena.stats().allocations;
    a.splice(std::next(a.begin(), 10), b, b.begin(), std::next(b.begin(), 300));
    model_a.splice(std::next(model_a.begin(), 10), model_b, model_b.begin(), std::next(model_b.begin(), 300));
    for (auto* l : {&a, &b}) l->sort();
    for (auto* l : {&model_a, &model_b}) l->sort();
    a.merge(b);
    model_a.merge(model_b);
    REQUIRE(env.arena.stats().allocations == before);
    REQUIRE(same(a, model_a));
    a.unique();
    model_a.unique();
    const auto odd = [](const tracked& t) { return t.value() % 2 == 1; };
    a.remove_if(odd);
    model_a.remove_if(odd);
    REQUIRE(same(a, model_a));
    REQUIRE(env.arena.stats().allocations == before - (2000 - a.size()));
    require_valid(env.arena);
  }
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("forward_list", "[containers]", over_tiny, over_static) {
  TestType env;
  using list = std::forward_list<tracked, typename TestType::template allocator<tracked>>;
  live_and_die<list>(env, [](auto& l, int n) {
    for (int i = 0; i < n; ++i) l.push_front(i + n);
  });
  {
    list l(env.template get<tracked>());
    std::forward_list<tracked> model;
    sequence_of_numbers random;
    for (int i = 0; i < 2000; ++i) {
      const int n = random.below(1000);
      l.insert_after(l.before_begin(), n);
      model.insert_after(model.before_begin(), n);
      if (i % 3 == 0) {
        const int at = random.below(i / 3 + 1);
        l.erase_after(std::next(l.before_begin(), at));
        model.erase_after(std::next(model.before_begin(), at));
      }
    }
    REQUIRE(same(l, model));
    l.sort();
    model.sort();
    l.reverse();
    model.reverse();
    REQUIRE(same(l, model));
    require_valid(env.arena);
  }
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("basic_string", "[containers]", over_tiny, over_static) {
  TestType env;
  using string = std::basic_string<char, std::char_traits<char>, typename TestType::template allocator<char>>;
  live_and_die<string>(env, [](auto& s, int n) {
    for (int i = 0; i < n; ++i) s.push_back(static_cast<char>('a' + (i + n) % 26));
  });
  {
    string s(env.template get<char>());
    std::string model;
    sequence_of_numbers random;
    for (int step = 0; step < 2000; ++step) {
      const auto at = static_cast<std::size_t>(random.below(static_cast<int>(model.size()) + 1));
      const auto n = static_cast<std::size_t>(random.below(60));
      const char c = static_cast<char>('a' + random.below(26));
      switch (random.below(4)) {
        case 0:
          s.append(n, c), model.append(n, c);
          break;
        case 1:
          s.insert(at, n, c), model.insert(at, n, c);
          break;
        case 2:
          s.replace(at, n, 5, c), model.replace(at, n, 5, c);
          break;
        default:
          s.erase(at, n), model.erase(at, n);
      }
      if (step % 100 == 0) {
        REQUIRE(same(s, model));
        s.shrink_to_fit();
        require_valid(env.arena);
      }
    }
    REQUIRE(same(s, model));
    const string sum = s + s;
    REQUIRE(sum.size() == 2 * s.size());
    REQUIRE(sum.compare(s.size(), s.size(), s) == 0);
    string short_one("not in the arena", 8, env.template get<char>());  // fits into the object itself
    const auto before = env.arena.stats().allocations;
    short_one += "longer than any string's own buffer is";
    REQUIRE(env.arena.stats().allocations == before + 1);
  }
  require_empty(env.arena);
}

# SPDX-License-Identifier: BSL-1.0
"""Writes a C++ file that makes compilers work: templates, containers of many types, lambdas, variants; N parts."""
import sys

HEAD = """\
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct number { int value = N; number<N - 1> rest; int sum() const { return value + rest.sum(); } };
template <> struct number<0> { int sum() const { return 0; } };
template <class... Types> auto add(Types... values) { return (values + ... + 0); }
"""

PART = """
struct item_{n} {{
  std::string name;
  std::array<int, {size}> values{{}};
  auto operator<=>(const item_{n}&) const = default;
}};

using choice_{n} = std::variant<int, double, std::string, item_{n}, std::vector<item_{n}>>;

int work_{n}(const std::vector<std::string>& words) {{
  std::map<std::string, std::vector<item_{n}>> by_name;
  std::unordered_map<int, std::unique_ptr<item_{n}>> by_number;
  for (std::size_t i = 0; i < words.size(); ++i) {{
    item_{n} item{{words[i] + "{n}", {{}}}};
    std::iota(item.values.begin(), item.values.end(), {n});
    by_number.emplace(static_cast<int>(i), std::make_unique<item_{n}>(item));
    by_name[words[i]].push_back(std::move(item));
  }}
  int sum = number<{depth}>{{}}.sum();
  std::vector<choice_{n}> choices{{1, 2.5, std::string("three"), item_{n}{{}}}};
  for (const auto& choice : choices) {{
    sum += std::visit([](const auto& value) {{ return static_cast<int>(sizeof(value)); }}, choice);
  }}
  for (auto& [name, items] : by_name) {{
    std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) {{ return a.name < b.name || b.values[0] > {n}; }});
    std::function<int(int)> step = [&held = items](int x) {{ return x * {n} + static_cast<int>(held.size()); }};
    sum += step(add(1, {n}, sum)) + std::get<1>(std::make_tuple(name, {n}, items.front()));
  }}
  switch (sum % {cases}) {{
{switch}
  }}
  return sum;
}}
"""

if __name__ == "__main__":
    parts = int(sys.argv[1])
    print(HEAD)
    for n in range(parts):
        cases = 20 + n
        switch = "\n".join(f"    case {c}: sum += {c * 7919 % 1009} ^ (sum << {c % 13}); break;" for c in range(cases))
        print(PART.format(n=n, size=4 + n, depth=20 + n, cases=cases, switch=switch))

// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/report_settings.hpp>

#include <map>
#include <string>
#include <vector>

#include "../catch.hpp"

using namespace miniheap::detail;

namespace {

struct reading {
  report_settings settings;
  std::vector<std::string> complaints;

  explicit reading(const std::map<std::string, std::string>& environment) {
    read_report_settings(
        settings,
        [&](const char* name) {
          const auto found = environment.find(name);
          return found == environment.end() ? nullptr : found->second.c_str();
        },
        [&](const text_line& line) { complaints.emplace_back(line.view()); });
  }
};

std::string expanded(const report_path& path) {
  char out[report_path::most_bytes];
  return path.expand(out) ? out : "too long";
}

}  // namespace

TEST_CASE("report settings: nothing is asked for where nothing is set", "[report]") {
  for (const auto& environment : {std::map<std::string, std::string>{},
                                  {{"MINIHEAP_STATS", "0"}, {"MINIHEAP_MAP", ""}, {"MINIHEAP_SIGNAL", ""}}}) {
    const reading r{environment};
    CHECK_FALSE(r.settings.is_wanted());
    CHECK_FALSE(r.settings.output.is_set());
    CHECK(r.complaints.empty());
  }
}

TEST_CASE("report settings: the kind with most in it wins", "[report]") {
  CHECK(reading{{{"MINIHEAP_STATS", "1"}}}.settings.at_exit == report_kind::statistics);
  CHECK(reading{{{"MINIHEAP_MAP", "1"}}}.settings.at_exit == report_kind::map);
  CHECK(reading{{{"MINIHEAP_STATS", "1"}, {"MINIHEAP_MAP", "1"}}}.settings.at_exit == report_kind::map);
  CHECK(reading{{{"MINIHEAP_JSON", "1"}, {"MINIHEAP_MAP", "1"}}}.settings.at_exit == report_kind::json);
  CHECK(reading{{{"MINIHEAP_JSON", "1"}, {"MINIHEAP_MAP", "0"}}}.settings.at_exit == report_kind::json);
}

TEST_CASE("report settings: signals by name and number", "[report]") {
  CHECK(signal_number("USR1") == SIGUSR1);
  CHECK(signal_number("SIGUSR2") == SIGUSR2);
  CHECK(signal_number("10") == 10);
  CHECK(signal_number("64") == 64);
  for (const char* const none : {"0", "65", "100000000000000000000", "1x", "-1", "FOO", "SIG", "usr1", " 1"}) {
    CAPTURE(none);
    CHECK(signal_number(none) == 0);
  }
  CHECK(reading{{{"MINIHEAP_SIGNAL", "HUP"}}}.settings.signal == SIGHUP);
  CHECK(reading{{{"MINIHEAP_SIGNAL", "HUP"}}}.settings.is_wanted());
}

TEST_CASE("report settings: one line for each value that says nothing", "[report]") {
  const reading r{{{"MINIHEAP_STATS", "yes"},
                   {"MINIHEAP_JSON", "1"},
                   {"MINIHEAP_SIGNAL", "FOO"},
                   {"MINIHEAP_OUTPUT", std::string(PATH_MAX, 'x')}}};
  REQUIRE(r.complaints.size() == 3);
  CHECK(r.complaints[0] == "miniheap: MINIHEAP_STATS=yes is ignored: 0 or 1 is meant");
  CHECK(r.complaints[1].find("MINIHEAP_SIGNAL=FOO is ignored") != std::string::npos);
  CHECK(r.complaints[2].find("MINIHEAP_OUTPUT=xxx") != std::string::npos);
  CHECK(r.settings.at_exit == report_kind::json);
  CHECK(r.settings.signal == 0);
  CHECK_FALSE(r.settings.output.is_set());
}

TEST_CASE("report settings: the file is absolute, and the process id is filled in late", "[report]") {
  const std::string id = std::to_string(::getpid());
  report_path path;
  CHECK(path.set("/a/%p/b%p"));
  CHECK(expanded(path) == "/a/" + id + "/b" + id);
  CHECK(path.set("/100%"));
  CHECK(expanded(path) == "/100%");
  CHECK(path.set("report-%p.json"));
  char folder[PATH_MAX];
  REQUIRE(::getcwd(folder, sizeof folder) != nullptr);
  CHECK(expanded(path) == std::string{folder} + "/report-" + id + ".json");
  const std::string longest = "/" + std::string(PATH_MAX - 3, 'x');
  CHECK(path.set(longest.c_str()));
  CHECK(expanded(path) == longest);
  CHECK(path.set((longest.substr(0, longest.size() - 20) + "%p%p%p%p%p%p%p%p%p%p").c_str()));
  const bool fits = longest.size() - 20 + 10 * id.size() < PATH_MAX;
  CHECK((expanded(path) == "too long") == !fits);
  CHECK_FALSE(path.set((longest + "xy").c_str()));
  CHECK_FALSE(path.is_set());
}

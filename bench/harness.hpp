// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "contender/concept.hpp"
#include "workload/list.hpp"
#include "workload/map.hpp"
#include "workload/raw.hpp"
#include "workload/strings.hpp"
#include "workload/unordered_map.hpp"

#include <benchmark/benchmark.h>

namespace bench {

// The whole of a contender's program: every workload it can do, by the name "workload/column:contender".
// report.py starts it once for each measurement, so that no measurement inherits the free memory of another.
template <contender... Contenders>
int run(int argc, char** argv) {
  (register_raw<Contenders>(), ...);
  (register_list<Contenders>(), ...);
  (register_map<Contenders>(), ...);
  (register_unordered_map<Contenders>(), ...);
  (register_strings<Contenders>(), ...);

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace bench

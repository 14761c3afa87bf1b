// SPDX-License-Identifier: BSL-1.0
// Precompiled once an executable: Catch2 takes longer to parse than any test. Nothing of ours belongs here,
// or a test that forgot an include would go unnoticed.
#include "../catch.hpp"

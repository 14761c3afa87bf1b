// SPDX-License-Identifier: BSL-1.0
// Catch2 under one name: version 2 is a single header, version 3 a folder of them.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

# SPDX-License-Identifier: BSL-1.0
# Shell functions shared by run, preload and return_to_os. Source it; it changes to the top of the repo.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/lib.sh"

# What bench/run measures beside the standard library's allocators.
libraries=(libboost-container-dev libfoonathan-memory-dev libmimalloc-dev libjemalloc-dev libgoogle-perftools-dev)

become() { PYTHONPATH=bench PYTHONDONTWRITEBYTECODE=1 exec python3 -m "$@"; } # become MODULE ARGUMENT...

is_asked_for() { # is_asked_for 'OPTION...' ARGUMENT...: is one of these options among the arguments?
  local argument
  for argument in "${@:2}"; do
    [[ " $1 " == *" $argument "* ]] && return
  done
  return 1
}

install_tools() { # install_tools PACKAGE...: without which nothing can be built
  install_packages "${build_packages[@]}" "$@" || die 'the tools for the benchmarks are missing'
}

install_peers() { # install_peers PACKAGE...: whatever cannot be had is not measured
  local package
  for package in "$@"; do
    install_packages "$package" || say_skipped "$package cannot be installed"
  done
}

find_ours() { # exports MINIHEAP_PRELOAD_LIBRARY: built here, unless somebody named another one, or none
  if [[ -z ${MINIHEAP_PRELOAD_LIBRARY+set} ]]; then
    MINIHEAP_PRELOAD_LIBRARY=$(./examples/run preload | tail -n 1)
    [[ -f $MINIHEAP_PRELOAD_LIBRARY ]] || die 'no library: see ./examples/run preload'
  fi
  export MINIHEAP_PRELOAD_LIBRARY
}

build_released() { # build_released WHAT TARGET...: without a target, all
  say "Building $1 in release mode"
  configure_release build/bench -Dbench=true -Dexamples=disabled
  build build/bench "${@:2}"
}

find_levels() { # exports MINIHEAP_LEVELS: our library at each level of checks, as "LEVEL PATH", one a line
  MINIHEAP_LEVELS=$(
    for level in none:unchecked basic: hardened:hardened; do
      # shellcheck disable=SC2086 # the default has no variant
      printf '%s %s\n' "${level%:*}" "$(./examples/run preload ${level#*:} | tail -n 1)"
    done
  )
  export MINIHEAP_LEVELS
}

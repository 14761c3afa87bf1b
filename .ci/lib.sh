# SPDX-License-Identifier: BSL-1.0
# Shell functions shared by tests/run, examples/run, bench and .ci/run. Source it; it changes to the top of the repo.
# shellcheck shell=bash

this_script=$(realpath "$0")
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

if [[ -t 1 ]]; then
  bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
else
  bold='' red='' green='' yellow='' plain=''
fi

say() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }
say_ok() { printf '%sok%s      %s\n' "$green" "$plain" "$*"; }
say_failed() { printf '%sFAILED%s  %s\n' "$red" "$plain" "$*"; }
say_skipped() { printf '%sskipped%s %s\n' "$yellow" "$plain" "$*"; }
die() {
  printf '%s%s%s\n' "$red" "$*" "$plain" >&2
  exit 1
}

usage() { # the leading comment of the script that called us, from its third line on
  sed -n '3,/^[^#]/{/^#/!d; s/^# \{0,1\}//; p}' "$this_script"
}

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

can_install() { command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || command -v sudo >/dev/null; }; }

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

update_package_lists() { # once for all scripts that one command starts
  [[ -n ${MINIHEAP_PACKAGE_LISTS_UPDATED:-} ]] && return
  say 'Updating the package lists (apt-get update)'
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null || return
  export MINIHEAP_PACKAGE_LISTS_UPDATED=1
}

install_packages() { # install_packages PACKAGE...: those that are missing; false if one of them could not be had
  command -v dpkg-query >/dev/null || return 0 # no Debian: whoever builds brings the tools, and Meson names what it misses
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]} == 0)) && return 0
  if ! can_install; then
    printf 'Missing, and neither root nor sudo to install it: apt-get install %s\n' "${missing[*]}" >&2
    return 1
  fi
  update_package_lists || return
  say "Installing with apt-get: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install "${missing[@]}" </dev/null >/dev/null
}

build_packages=(g++ meson ninja-build pkg-config python3 libboost-dev) # for every build
test_packages=(catch2)

libraries=() # packages that a build does without where they are not installed

configure() { # configure BUILD_DIRECTORY MESON_OPTION...: anew only where options, compiler or such libraries changed
  local directory=$1 wanted package
  shift
  wanted="CXX=${CXX:-} CXXFLAGS=${CXXFLAGS:-} $*"
  for package in "${libraries[@]}"; do
    if is_installed "$package"; then wanted+=" $package"; fi
  done
  if [[ -f $directory/build.ninja && $(cat "$directory/configured-with" 2>/dev/null) == "$wanted" ]]; then
    return 0
  fi
  mkdir -p "$directory"
  find "$directory" -mindepth 1 -maxdepth 1 ! -name '*.csv' ! -name '*.json' -exec rm -rf {} + # all but results
  if ! meson setup "$directory" "$@" >"$directory.log" 2>&1; then
    cat "$directory.log"
    return 1
  fi
  printf '%s\n' "$wanted" >"$directory/configured-with"
}

build() { # build BUILD_DIRECTORY TARGET...: shows one moving line on a terminal, else what went wrong and no more
  local directory=$1
  shift
  if [[ -t 1 ]]; then
    ninja -C "$directory" "$@"
  else
    ninja -C "$directory" "$@" >"$directory.log" 2>&1 || { cat "$directory.log" && return 1; }
  fi
}

configure_release() { # configure_release BUILD_DIRECTORY MESON_OPTION...: optimised, without assertions
  local directory=$1
  shift
  configure "$directory" -Dbuildtype=release -Db_ndebug=true -Dtests=disabled "$@"
}

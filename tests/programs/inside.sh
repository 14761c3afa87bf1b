# SPDX-License-Identifier: BSL-1.0
# What the files of the programs call while they are measured. tests/programs/run sources it in a shell of its own, for
# each program and each way; everything in that shell has the library's malloc or has it not.
# shellcheck shell=bash disable=SC2034,SC2154
set -euo pipefail

loads=$programs_directory/loads # $programs_directory: from tests/programs/run
servers=()

end_servers() { # on every way out; what is ended already is not in the list any more
  local pid
  for pid in "${servers[@]}"; do
    if kill "$pid" 2>/dev/null; then wait "$pid" || true; fi
  done
}
trap end_servers EXIT
trap 'exit 143' TERM INT HUP

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

start_server() { # start_server LOG COMMAND...: in the background; its pid is in server_pid
  local log=$1
  shift
  "$@" >"$log" 2>&1 &
  server_pid=$!
  servers+=("$server_pid")
}

stop_server() { # stop_server PID: asks it to end, and fails unless it ends well (exit handlers are part of the test)
  local pid=$1 code=0 other others=()
  kill "$pid" || fail "server $pid is gone before its end"
  wait "$pid" || code=$?
  for other in "${servers[@]}"; do [[ $other == "$pid" ]] || others+=("$other"); done
  servers=("${others[@]}")
  ((code == 0)) || fail "the server ended with code $code"
}

wait_until() { # wait_until SECONDS COMMAND...: until the command succeeds; fails when the server ends or the time is up
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    kill -0 "$server_pid" 2>/dev/null || fail "the server ended before: $*"
    ((SECONDS < end)) || fail "in vain: $*"
    sleep 0.05
  done
}

has_library() { # has_library PID: a process that runs with the preload must have the library mapped
  [[ -z ${LD_PRELOAD:-} ]] || grep -qF "$LD_PRELOAD" "/proc/$1/maps" || fail "process $1 has no $LD_PRELOAD mapped"
}

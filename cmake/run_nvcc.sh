#!/usr/bin/env bash
# run_nvcc.sh REPORT COMMAND...: a compilation whose report on registers and spills goes to a file (tests/cli/test_ptxas.sh
# reads it); what else it says is shown.
set -u
report=$1
shift
"$@" >"$report.tmp" 2>&1
rc=$?
grep -vE '^ptxas info|bytes stack frame|^$' "$report.tmp" >&2
[ "$rc" -eq 0 ] && mv "$report.tmp" "$report"
exit "$rc"

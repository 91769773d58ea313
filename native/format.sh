#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Formats the C and C++ sources, or with --check only says which ones are not formatted, and fails.
set -eu
cd "$(dirname "$0")"
if [ "${1:-}" = --check ]; then mode='--dry-run --Werror'; else mode=-i; fi
# shellcheck disable=SC2086
find include torch cuda gpu-checks tests -name '*.h' -o -name '*.c' -o -name '*.cpp' | sort | xargs clang-format $mode

#!/usr/bin/env bash
# Installs what exaconn needs on Debian and Ubuntu. Idempotent; needs root or sudo only if something is missing.
#   scripts/install_deps.sh [--tests]     --tests: also what the tests, the fuzzers and the linters need
# Elsewhere: docs/install.md names the Spack and conda packages.
set -euo pipefail

optional=()
packages=(build-essential cmake ninja-build pkg-config git ca-certificates curl
          openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libhwloc-dev libzstd-dev libcjson-dev
          libssl-dev libpng-dev libtiff-dev zlib1g-dev libmicrohttpd-dev python3 python3-h5py)
case "${1:-}" in
    "") ;;
    --tests) packages+=(libcmocka-dev python3-venv clang libclang-rt-14-dev clang-format groff man-db)
             # For a private Slurm; where they cannot be had its test skips.
             optional+=(slurm-wlm munge hwloc-nox) ;;
    *) echo "usage: $0 [--tests]" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null; then
    echo "install_deps.sh: no apt-get here. Install these by your own package manager (docs/install.md):" >&2
    printf '  %s\n' "${packages[@]}" >&2
    exit 1
fi

is_there() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing=() wanted=()
for p in "${packages[@]}"; do is_there "$p" || missing+=("$p"); done
for p in "${optional[@]+"${optional[@]}"}"; do
    is_there "$p" || { [ "$p" = hwloc-nox ] && command -v hwloc-calc >/dev/null; } || wanted+=("$p")
done
# The sanitizer runtime's package carries clang's version in its name: take the one that fits where 14 is not it.
if printf '%s\n' "${missing[@]+"${missing[@]}"}" | grep -qx libclang-rt-14-dev &&
   ! apt-cache show libclang-rt-14-dev >/dev/null 2>&1; then
    apt_clang=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    [ -n "$apt_clang" ] && missing=("${missing[@]/libclang-rt-14-dev/libclang-rt-$apt_clang-dev}")
fi
if [ "${#missing[@]}" -eq 0 ] && [ "${#wanted[@]}" -eq 0 ]; then
    echo "install_deps.sh: everything is installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "install_deps.sh: not root and no sudo; missing: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
fi
install() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
"${as_root[@]}" apt-get update -qq
if [ "${#missing[@]}" -gt 0 ]; then
    echo "install_deps.sh: installing ${missing[*]}"
    install "${missing[@]}"
fi
for p in "${wanted[@]+"${wanted[@]}"}"; do
    echo "install_deps.sh: installing $p (optional)"
    install "$p" || echo "install_deps.sh: $p cannot be had; what needs it skips" >&2
done
echo "install_deps.sh: done"

#!/usr/bin/env bash
# Builds the shared library for each platform that has one here, with zig as the cross compiler (PyPI: ziglang; ZIG names the command).
# Equal sources, flags and zig give equal bytes; sources.sha256 says what the library was built from, and a test compares;
# library.sha256 what it is, and who loads it compares: a library that was cut short ends the process by a signal.
set -euo pipefail
cd "$(dirname "$0")"
zig=${ZIG:-zig}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common=(-target x86_64-linux-gnu.2.17 -std=c11 -O3 -Wall -Wextra -Werror -fPIC -fvisibility=hidden -fno-math-errno)
for source in *.c; do
  # The entry point says whether the processor has what all others are compiled for.
  vector=(-mavx2 -mfma -mf16c)
  [ "$source" = register.c ] && vector=()
  $zig cc "${common[@]}" ${vector[@]+"${vector[@]}"} -c "$source" -o "$work/${source%.c}.o"
done
mkdir -p linux-x64
$zig cc -target x86_64-linux-gnu.2.17 -shared -s -Wl,--build-id=none -o linux-x64/sparklane-kernels.so "$work"/*.o
cat *.c *.h build.sh | sha256sum | cut -d' ' -f1 > linux-x64/sources.sha256
(cd linux-x64 && sha256sum sparklane-kernels.so | cut -d' ' -f1 > library.sha256)

#!/usr/bin/env bash
# The program's manners: help of every command, errors, exit codes, --version, man page, completion, broken outputs.
source "$(dirname "$0")/../test_lib.sh"

# The same for standard output and standard error alone: quiet COMMAND... prints nothing on the other.
stdout_of() { "$@" 2> /dev/null; }
commands=$("$EXACONN" help | sed -n '/^Commands:/,/^$/p' | sed -n 's/^  \([a-z-]*\) .*/\1/p')
check "there are commands" test "$(wc -w <<< "$commands")" -ge 10

for c in $commands; do
    expect 0 "^Usage: exaconn $c" '^Examples:' "^  \\$ .*exaconn $c|^  \\$ exaconn --version" '^Exit codes:' -- "$EXACONN" "$c" --help
    expect 0 "^Usage: exaconn $c" -- "$EXACONN" help "$c"
    check "$c --help prints on standard output" test -n "$(stdout_of "$EXACONN" "$c" --help)"
    expect 2 'there is no option .--no-such' 'hint:' -- "$EXACONN" "$c" --no-such-thing
done
expect 0 '^Commands:' '^Exit codes:' -- "$EXACONN" --help
expect 0 '^Usage: exaconn run' -- "$EXACONN" --help run
expect 2 '^Commands:' -- "$EXACONN"
check "usage without a command is an error" test -z "$(stdout_of "$EXACONN")"

# ---- errors ----
expect 2 '^exaconn: error: there is no command .rnu.$' '^  hint: did you mean `exaconn run`\?$' -- "$EXACONN" rnu job.json
expect 2 'hint: did you mean .--json.' -- "$EXACONN" info --jsn x
expect 2 'needs JOB' 'hint:' -- "$EXACONN" run
expect 2 'do with .b.' -- "$EXACONN" run a b
expect 2 'one of error\|warn' -- "$EXACONN" --log-level loud help
expect 2 'either a PATH or --devices' -- "$EXACONN" info
expect 2 'there is no command .rnu' -- "$EXACONN" help rnu
expect 2 'only bash' -- "$EXACONN" completion zsh
expect 1 "cannot open '.*missing" 'hint:' -- "$EXACONN" info "$work/missing"
expect 1 'where: .*cmd_info.c:[0-9]+' -- "$EXACONN" --log-level debug info "$work/missing"
check "no place without --log-level debug" bash -c "! '$EXACONN' info '$work/missing' 2>&1 | grep -q where:"
check "errors leave standard output empty" test -z "$(stdout_of "$EXACONN" rnu)"

# ---- version ----
expect 0 '^exaconn [0-9]+\.[0-9]+' 'MPI +[^ ]' 'HDF5 +1\.' 'hwloc' 'zstd' 'CUDA' 'fastest set' -- "$EXACONN" --version
expect 0 '"commit":' '"cpu_features": \["portable"' -- "$EXACONN" --version --json
expect 0 '"hdf5":' -- "$EXACONN" version --json
check "version --json is JSON" bash -c "'$EXACONN' --version --json | python3 -m json.tool > /dev/null"

# ---- info ----
expect 0 'processor' 'cores +[1-9]' 'memory bytes +[1-9]' 'gpus' -- "$EXACONN" info --devices
check "info --devices --json is JSON" bash -c "'$EXACONN' info --devices --json | python3 -m json.tool > /dev/null"
echo nonsense > "$work/file.txt"
expect 4 'file.txt' -- "$EXACONN" info "$work/file.txt"
expect 2 'neither a run directory' -- "$EXACONN" info "$work"
mkdir "$work/run"; echo '{}' > "$work/run/job.json"
expect 0 'kind +run directory' 'state +interrupted' 'files +job.json' -- "$EXACONN" info "$work/run"
expect 0 '"files": \["job.json"\]' -- "$EXACONN" info --json "$work/run"
echo '{"state": "failed"}' > "$work/run/status.json"
expect 0 'state +failed' -- "$EXACONN" info "$work/run"
expect 0 'run: failed' -- "$EXACONN" status "$work/run"
expect 0 'run: failed' -- "$EXACONN" status --watch --every 0.1 "$work/run"
expect 2 'every 0' -- "$EXACONN" status --every 0 "$work/run"
echo '{"state": "running"}' > "$work/run/status.json" # and no process holds the lock
expect 0 'state +interrupted' -- "$EXACONN" info "$work/run"
echo '{"state": ' > "$work/run/status.json"
expect 4 'status.json' -- "$EXACONN" info "$work/run"
"$EXACONN_FIXTURE" many-volumes "$work/many.h5" && "$EXACONN_FIXTURE" volume "$work/few.h5"
expect 0 'volumes +13' '/v11 \(1x1x1 uint8\), and 1 more' -- "$EXACONN" info "$work/many.h5"
expect 0 '"names_truncated": true' -- "$EXACONN" info --json "$work/many.h5"
check "truncated info --json is JSON" bash -c "'$EXACONN' info --json '$work/many.h5' | python3 -m json.tool > /dev/null"
check "a whole list is not called truncated" bash -c "! '$EXACONN' info --json '$work/few.h5' | grep -q truncated"
if [ -e "$data/fib25_sample2.h5" ] && [ -e "$data/ffn_fib25_tf" ]; then
    checkpoint=$(find "$data/ffn_fib25_tf/" -name '*.index' -print -quit)
    expect 0 -- "$EXACONN" import-ffn "${checkpoint%.index}" -o "$work/ffn.h5"
    expect 0 'kind +ffn weights' 'fov +\[33, 33, 33\]' 'move threshold +0\.9$' -- "$EXACONN" info "$work/ffn.h5"
    printf 'x' | dd of="$work/ffn.h5" bs=1 seek=100000 conv=notrunc 2> /dev/null
    expect 4 'ffn.h5' -- "$EXACONN" info "$work/ffn.h5"
    expect 0 'kind +volume' 'shape +\[250, 250, 250\]' 'type +uint8' -- "$EXACONN" info "$data/fib25_sample2.h5:/raw"
    check "info --json is JSON" bash -c "'$EXACONN' info --json '$data/fib25_sample2.h5:/raw' | python3 -m json.tool > /dev/null"
    expect 2 'did you mean .*raw' -- "$EXACONN" info "$data/fib25_sample2.h5:/rwa"
else
    echo "no real data at $data: info on a volume is not tried here"
fi

# ---- outputs that break ----
if [ -w /dev/full ]; then
    full() { "$@" > /dev/full; }
    expect 1 'cannot write the output' -- full "$EXACONN" help
    expect 1 'cannot write the output' -- full "$EXACONN" config --schema
fi
head_of() { set -o pipefail; "$EXACONN" config --schema | head -n 1; }
expect 0 '^\{$' -- head_of
closed() { "$EXACONN" help > >(:); }
expect 0 -- closed

# ---- man page ----
"$EXACONN" man > "$work/exaconn.1"
if command -v man > /dev/null && man -l /dev/null > /dev/null 2>&1; then
    check "the man page has no warnings" \
        bash -c "out=\$(MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings -l '$work/exaconn.1' 2>&1 >/dev/null); echo \"\$out\"; [ -z \"\$out\" ]"
elif command -v groff > /dev/null; then
    check "the man page has no warnings" \
        bash -c "out=\$(groff -ww -man -Tutf8 '$work/exaconn.1' 2>&1 >/dev/null); echo \"\$out\"; [ -z \"\$out\" ]"
else
    echo "neither man nor groff: the man page is not formatted here"
fi
for c in $commands; do
    check "the man page has $c" grep -q "^.SS \"${c//-/\\\\-}" "$work/exaconn.1"
done

# ---- completion ----
"$EXACONN" completion > "$work/completion.bash"
check "the completion parses" bash -n "$work/completion.bash"
touch "$work/a_job.json" "$work/a b.json"
# complete WORD...: what Tab would offer for the last word.
complete_words() {
    (
        cd "$work" || exit 1
        # shellcheck disable=SC1091
        source "$work/completion.bash"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _exaconn
        printf '%s\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
    )
}
expect 0 '^run$' '^import-ffn$' -- complete_words exaconn ''
check "a prefix narrows" test "$(complete_words exaconn imp | sort | paste -sd' ')" = "import-ffn import-images import-segclr"
check "commands for help" test "$(complete_words exaconn help sta)" = status
expect 0 '^--log-level$' '^--help$' -- complete_words exaconn --
expect 0 '^--fov$' '^-o$' '^--quiet$' -- complete_words exaconn import-ffn -
check "words of an option" test "$(complete_words exaconn --log-level de)" = debug
check "words after =" test "$(complete_words exaconn run --log-level = de)" = debug
check "words after = itself" test "$(complete_words exaconn run --log-level = | wc -l)" = 5
expect 0 '^a_job.json$' '^a b.json$' -- complete_words exaconn run a
expect 0 '^a_job.json$' -- complete_words exaconn config --check a
check "no files for numbers" test -z "$(complete_words exaconn import-ffn --fov a)"
expect 0 '^status$' -- complete_words exaconn --log-level debug sta

# ---- documents ----
for c in $commands; do
    check "docs/cli.md has $c" grep -q "^### exaconn $c\$" "$EXACONN_SOURCE_DIR/docs/cli.md"
done
while read -r code; do
    check "docs/cli.md has exit code $code" grep -q "^| $code |" "$EXACONN_SOURCE_DIR/docs/cli.md"
done < <("$EXACONN" help | sed -n '/^Exit codes/,$p' | sed -n 's/^  \([0-9]\)  .*/\1/p')
finish

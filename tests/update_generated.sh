#!/usr/bin/env bash
# Rewrites the committed files that are made from the program's tables: configs/job.schema.json,
# configs/job.defaults.json, the tables of docs/job.md and the command list of docs/cli.md.
# Usage: EXACONN=build/default/exaconn tests/update_generated.sh [TARGET_FOLDER]   (default: this checkout)
set -euo pipefail
EXACONN=${EXACONN:?set EXACONN to the exaconn program}
source=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$source}

# between FILE NAME TEXTFILE: replaces what stands between <!-- NAME: begin --> and <!-- NAME: end -->.
between() {
    awk -v name="$2" -v text="$3" '
        index($0, "<!-- " name ": begin -->") { print; while ((getline line < text) > 0) print line; skip = 1; next }
        index($0, "<!-- " name ": end -->") { skip = 0 }
        !skip' "$source/$1" > "$target/$1.new"
    mv "$target/$1.new" "$target/$1"
}

commands() {
    echo '| Command | Arguments | What it does |'
    echo '| --- | --- | --- |'
    "$EXACONN" help | sed -n '/^Commands:/,/^$/p' | sed -n 's/^  \([a-z-]*\)  *\(.*\)/\1 \2/p' | while read -r name text; do
        arguments=$("$EXACONN" "$name" --help | sed -n '1s/.*\[OPTIONS\] *//p')
        echo "| \`$name\` | ${arguments:+\`$arguments\`} | $text |"
    done
    "$EXACONN" help | sed -n '/^Commands:/,/^$/p' | sed -n 's/^  \([a-z-]*\) .*/\1/p' | while read -r name; do
        printf '\n### exaconn %s\n\n```text\n' "$name"
        "$EXACONN" "$name" --help | sed '/^Options of every command:/,/^$/d; /^Exit codes:/,$d' | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
        echo '```'
    done
}

mkdir -p "$target/configs" "$target/docs"
"$EXACONN" config --schema > "$target/configs/job.schema.json"
"$EXACONN" config --defaults > "$target/configs/job.defaults.json"
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
"$EXACONN" config --markdown > "$scratch"
between docs/job.md keys "$scratch"
commands > "$scratch"
between docs/cli.md commands "$scratch"

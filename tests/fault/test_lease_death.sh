#!/usr/bin/env bash
# Work shared out while a rank is killed, hangs for good, or sleeps longer than the time-out: the others do all of it,
# nobody waits for the dead, rank 0's death ends everybody.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
program=${EXACONN_LEASE_DEATH:?set EXACONN_LEASE_DEATH to the program lease_death}
items=120

# start HOW RANK: runs it to where all but the victim have spoken; $out is what they said. mpirun itself waits for a
# stopped rank for ever.
start() {
    mkdir -p "$work/$1$2"
    out=$work/$1$2.out
    setsid mpirun --enable-recovery -n 4 "$program" "$1" "$2" "$work/$1$2" >"$out" 2>&1 & pid=$!
    for _ in $(seq 1200); do
        [ "$(grep -c '^worker\|^result' "$out")" -ge "$3" ] && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    check "$1 $2: $3 ranks came to an end" test "$(grep -c '^worker\|^result' "$out")" -ge "$3"
}

# finish_off FOLDER: ends what is left, by the processes' own ids.
finish_off() {
    for p in $(pgrep -f "^$program .* $1\$"); do kill -KILL "$p" 2>/dev/null; done
    for _ in $(seq 50); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- -$pid 2>/dev/null
    wait $pid 2>/dev/null
}

items_done() { find "$1" -type f -printf '%f\n' | sed 's/\..*//' | sort -u | wc -l; }

for how in kill stop pause; do
    victim=2
    [ $how = kill ] || victim=1
    start $how $victim $([ $how = pause ] && echo 4 || echo 3)
    check "$how: rank 0 declares it dead, once" test "$(grep -c "rank $victim on .* is given up" "$out")" -eq 1
    check "$how: it is listed as dead" grep -q "^rank $victim: dead" "$out"
    check "$how: the others are alive" test "$(grep -c '^rank [0-9]: alive' "$out")" -eq 3
    check "$how: all is done, and the death is said" grep -q "^result: a rank was lost, $items of $items done: rank $victim on .* died" "$out"
    check "$how: every item is on disk" test "$(items_done "$work/$how$victim")" -eq $items
    check "$how: nobody called a collective" test "$(grep -c agreed "$out")" -eq 0
    finish_off "$work/$how$victim"
done
check "the rank that woke too late ends by itself" grep -q '^worker 1: a rank was lost: rank 1 gives up rank 0' "$work/pause1.out"

for how in kill stop; do
    start $how 0 3
    check "$how 0: the others end by themselves" test "$(grep -c '^worker [123]: a rank was lost: rank [123] gives up rank 0 (it is silent' "$out")" -eq 3
    check "$how 0: nobody called a collective" test "$(grep -c agreed "$out")" -eq 0
    finish_off "$work/${how}0"
done

# Everybody stopped for longer than the time-out, as when a batch system suspends a job: nobody is dead.
mkdir -p "$work/suspended"
out=$work/suspended.out
setsid mpirun --enable-recovery -n 3 "$program" none 9 "$work/suspended" >"$out" 2>&1 & pid=$!
for _ in $(seq 300); do [ "$(items_done "$work/suspended")" -ge 6 ] && break; sleep 0.02; done
ranks=$(pgrep -f "^$program .* $work/suspended\$")
kill -STOP $ranks; sleep 7; kill -CONT $ranks
wait $pid; rc=$?
check "a suspended job goes on, all alive ($rc)" test "$(grep -c '^agreed' "$out")" -eq 3
check "a suspended job: all is done" grep -q "^result: ok, $items of $items done" "$out"

# Without --enable-recovery the launcher ends all at a death; that must be quick and leave nobody.
mkdir -p "$work/plain"
timeout 60 mpirun -n 3 "$program" kill 1 "$work/plain" >"$work/plain.out" 2>&1; rc=$?
check "without recovery mpirun ends all ($rc)" test $rc -ne 0 -a $rc -ne 124
check "nobody is left" test -z "$(pgrep -f "^$program .* $work/plain\$")"
finish

#!/usr/bin/env bash
# exaconn circuit over ranks: the same bytes as on one, whatever the number of ranks and threads.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
python3 - "$work" <<'PY'
import random, sys
r, n = random.Random(3), 150
at = [[r.uniform(0, 9000) for _ in range(3)] for _ in range(n)]
with open(sys.argv[1] + '/n.csv', 'w') as f:
    f.write('id,x_nm,y_nm,z_nm\n' + ''.join('%d,%.0f,%.0f,%.0f\n' % (900 + i, *at[i]) for i in range(n)))
with open(sys.argv[1] + '/e.csv', 'w') as f:
    f.write('pre,post,weight\n')
    for i in range(n):
        for j in range(n):
            far = sum((a - b) ** 2 for a, b in zip(at[i], at[j])) ** .5
            if r.random() < .3 * 2.7 ** (-far / 2500): f.write(f'{900 + i},{900 + j},{r.randint(1, 9)}\n')
PY
options=(circuit "$work/e.csv" --nodes "$work/n.csv" --replicas 7 --json -q)
"$EXACONN" "${options[@]}" -t 1 > "$work/1" || exit 1
for ranks in 1 2 4; do
    mpirun -n $ranks "$EXACONN" "${options[@]}" -t $((ranks == 2 ? 2 : 1)) > "$work/r$ranks" || exit 1
    check "$ranks ranks" cmp "$work/1" "$work/r$ranks"
done
expect 0 -- mpirun -n 3 "$EXACONN" "${options[@]}" --paths 40 -o "$work/out"
check "rank 0 alone writes" test -s "$work/out/circuit.json" -a -s "$work/out/distance.svg"
printf 'pre,post\n1\n' > "$work/bad.csv"
expect 4 'bad.csv:2: 1 fields' -- mpirun -n 2 "$EXACONN" circuit "$work/bad.csv"
check "the error is said once" sh -c '[ "$(mpirun -n 2 "$1" circuit "$2" 2>&1 | grep -c "bad.csv:2")" = 1 ]' - "$EXACONN" "$work/bad.csv"
finish

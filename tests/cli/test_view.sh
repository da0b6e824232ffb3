#!/usr/bin/env bash
# exaconn view: what a browser asks of it: CORS, byte ranges, HEAD; nothing outside the folder; it ends when told to.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
command -v curl >/dev/null || { echo "SKIP: no curl" >&2; exit 77; }
"$EXACONN" export 'phantom:seed=9,shape=30x40x130,empty=0' -o "$work/volume" -q || exit 1
echo secret > "$work/secret"
ln -s ../secret "$work/volume/link"
mkfifo "$work/volume/pipe"
client=https://neuroglancer-demo.appspot.com

"$EXACONN" view "$work/volume" > "$work/link" 2> "$work/log" & pid=$!
for _ in $(seq 200); do [ -s "$work/link" ] && break; kill -0 $pid 2>/dev/null || break; sleep 0.05; done
if grep -q 'built without libmicrohttpd' "$work/log"; then
    echo "SKIP: this build has no libmicrohttpd" >&2
    exit 77
fi
port=$(grep -o '127.0.0.1:[0-9]*' "$work/link" | head -n 1 | cut -d: -f2)
check "a link with a real port" test -n "$port"
check "the link is Neuroglancer's state" python3 -c '
import json, sys, urllib.parse
page, state = open(sys.argv[1]).read().strip().split("/#!")
state = json.loads(urllib.parse.unquote(state))
assert page == sys.argv[2] and state["layers"][0]["source"] == f"precomputed://http://127.0.0.1:{sys.argv[3]}", state
assert state["layers"][0]["type"] == "image" and state["position"] == [65.5, 20.5, 15.5], state
assert list(state["dimensions"]) == ["x", "y", "z"] and state["dimensions"]["x"][1] == "m"' "$work/link" "$client" "$port"

url=http://127.0.0.1:$port
key=$(cd "$work/volume" && ls -d [0-9]* | head -n 1)
shard=$(cd "$work/volume" && ls "$key"/*.shard | head -n 1)
size=$(stat -c %s "$work/volume/$shard")
# answer ARGUMENTS...: status line and headers to $work/head, the body to $work/body.
answer() { curl -sS --path-as-is -m 10 -D "$work/head" -o "$work/body" "$@"; tr -d '\r' < "$work/head" > "$work/headers"; }
header() { grep -Eiq -- "$1" "$work/headers"; }

answer "$url/info"
check "info: 200" header '^HTTP/1.1 200'
check "info: JSON" header '^content-type: application/json$'
check "info: the page of the link may read it" header "^access-control-allow-origin: $client\$"
check "info: the same bytes" cmp "$work/body" "$work/volume/info"
answer "$url/$shard"
check "a shard as it is" cmp "$work/body" "$work/volume/$shard"
check "ranges are offered" header '^accept-ranges: bytes$'

# part FIRST COUNT RANGE: the answer to a range is these bytes.
part() {
    answer -H "Range: $3" "$url/$shard"
    check "$3: 206" header '^HTTP/1.1 206'
    check "$3: says which" header "^content-range: bytes $1-$(($1 + $2 - 1))/$size\$"
    check "$3: CORS" header '^access-control-allow-origin: https'
    check "$3: these bytes" cmp <(tail -c +$(($1 + 1)) "$work/volume/$shard" | head -c "$2") "$work/body"
}
part 0 16 bytes=0-15
part 100 900 bytes=100-999
part $((size - 7)) 7 bytes=-7
part $((size - 5)) 5 bytes=$((size - 5))-
part 10 $((size - 10)) bytes=10-$((size + 1000))
part 0 "$size" bytes=-$((size + 1000))
for bad in bytes=$size- bytes=99999999999- bytes=-0; do
    answer -H "Range: $bad" "$url/$shard"
    check "$bad: 416" header '^HTTP/1.1 416'
    check "$bad: says how long it is" header "^content-range: bytes \*/$size\$"
done
for other in bytes=5-2 bytes=a-b chunks=0-1 bytes=0-1,4-5 bytes=18446744073709551616-; do
    answer -H "Range: $other" "$url/$shard"
    check "$other is ignored" test "$(stat -c %s "$work/body")" -eq "$size"
done

answer -I "$url/$shard"
check "HEAD: the length and no body" header "^content-length: $size\$"
answer -X OPTIONS -H 'Access-Control-Request-Headers: range' "$url/$shard"
check "a browser's question is answered" header '^access-control-allow-headers: Range$'
answer -X PUT -d x "$url/info"
check "nothing is written" header '^HTTP/1.1 405'
answer -H 'Host: evil.example' "$url/info"
check "other names of this machine are refused" header '^HTTP/1.1 403'
for path in /../secret /%2e%2e/secret /..%2fsecret "/$key/../../secret" /link /pipe / "/$key" /none "//etc/passwd" /info/; do
    answer "$url$path"
    check "$path: 404" header '^HTTP/1.1 404'
    check "$path: no secret" test -z "$(grep -l secret "$work/body")"
done
check "only on this machine's own address" python3 -c '
import socket, sys
for address in {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}:
    if address.startswith("127."): continue
    s = socket.socket(); s.settimeout(2)
    assert s.connect_ex((address, int(sys.argv[1]))) != 0, address' "$port"

expect 1 "port $port" 'hint: choose another --port' -- "$EXACONN" view "$work/volume" --port "$port"
kill -INT $pid; wait $pid; rc=$?
check "Ctrl-C ends it well (exit $rc)" test $rc -eq 0
check "and its port is free" test "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$url/info")" = 000

# A run.
small_job "$work" '"precomputed": {"segmentation": true}' '"limits": {"max_objects": 1}'
expect 0 'exporting' 'exaconn view' -- "$EXACONN" run "$work/job.json"
expect 0 "^$client/#!.*127.0.0.1:9000/segmentation" -- "$EXACONN" view "$work/run" --no-wait --port 9000
expect 0 '^https://example.org/ng/#!' -- "$EXACONN" view "$work/run" --no-wait --port 9000 --client https://example.org/ng
rm "$work/run/neuroglancer.json"
expect 2 'nothing to look at yet' "exaconn export $work/run" -- "$EXACONN" view "$work/run"
expect 2 "neither a run directory nor" "hint: exaconn export" -- "$EXACONN" view "$EXACONN_SOURCE_DIR/docs"
expect 2 'neither a run directory nor' -- "$EXACONN" view "$work/absent"
expect 2 '--port 70000' -- "$EXACONN" view "$work/volume" --port 70000
expect 2 '--client' -- "$EXACONN" view "$work/volume" --client nonsense
expect 2 '--no-wait' -- "$EXACONN" view "$work/volume" --no-wait
finish

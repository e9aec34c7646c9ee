#!/usr/bin/env bash
# A small bot for the shell; needs socat and jq:  examples/bot.sh [SOCKET]
#
# It buys at the market, rests a bid far below, moves it, takes it off, and compares what the events
# told with what the daemon lists. A call without an answer is simply repeated: under the same
# cl_ord_id it finds the order it made before.
set -euo pipefail

for needed in socat jq; do
  command -v "$needed" >/dev/null || { echo "$0 needs $needed: apt-get install socat jq" >&2; exit 1; }
done

socket=${1:-${BROKERD_SOCKET:-var/brokerd.sock}}
run=sh-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
events=$(mktemp)
following=
trap '[ -z "$following" ] || kill "$following" 2>/dev/null || true; rm -f "$events"' EXIT

request() { # METHOD PARAMS
  jq -nc --arg method "$1" --argjson params "$2" \
    '{jsonrpc: "2.0", id: 1, method: $method, params: $params}'
}

call() { # METHOD PARAMS: print the result; a refusal ends the bot, silence is asked again
  local answer try
  for try in 1 2 3 4 5; do
    answer=$(request "$1" "$2" | socat -t 10 - "UNIX-CONNECT:$socket" || true)
    if [ -n "$answer" ]; then
      jq -ec .result <<<"$answer" && return
      jq -r '"\(.error.code): \(.error.message)"' <<<"$answer" >&2
      return 1
    fi
    sleep "0.$try"
  done
  echo "no answer from $socket" >&2
  return 1
}

submit() { # NO TERMS: an id of our own makes the repeat safe
  call order.submit "$(jq -nc --arg id "$run-$1" --arg run "$run" --argjson terms "$2" \
    '{cl_ord_id: $id, symbol: "BTCUSDT", side: "buy", qty: "0.01", group: {run: $run}, wait: "venue"} + $terms')"
}

group=$(jq -nc --arg run "$run" '{group: {run: $run}}')
arrival=$(submit 1 '{"ord_type": "market"}' | jq -r .arrival.bid_px)
far=$((${arrival%.*} - 1000))
submit 2 "{\"ord_type\": \"limit\", \"px\": \"$far\"}" >/dev/null
call order.replace "{\"cl_ord_id\": \"$run-2\", \"px\": \"$((far + 1))\"}" >/dev/null
call order.cancel "{\"cl_ord_id\": \"$run-2\"}" >/dev/null

# The stream may begin anywhere in the past: here at its beginning, read until both orders are done.
request events.subscribe "$(jq -c '. + {after_seq: 0}' <<<"$group")" >"$events"
coproc socat - "UNIX-CONNECT:$socket,ignoreeof"
following=$COPROC_PID
cat "$events" >&"${COPROC[1]}"
declare -A told=()
is_done() { [[ ${told[$run-$1]:-} =~ ^(filled|canceled|rejected|expired) ]]; }
until is_done 1 && is_done 2; do
  IFS= read -r -t 30 line <&"${COPROC[0]}" || { echo "the stream ended" >&2; exit 1; }
  read -r id outcome < <(jq -r 'select(.method == "event").params | "\(.cl_ord_id) \(.ord_status):\(.cum_qty)"' <<<"$line") || continue
  told[$id]=$outcome
done

listed=$(call order.list "$group" | jq -r '.orders[] | "\(.cl_ord_id) \(.ord_status) \(.cum_qty) \(.avg_px // "-")"')
echo "$listed"
while read -r id ord_status cum_qty _; do
  [ "${told[$id]:-}" = "$ord_status:$cum_qty" ] || { echo "events and order.list differ for $id" >&2; exit 1; }
done <<<"$listed"

#!/bin/sh
# A scripted `iris` for the tests. Its state is files in the folder of the link by which it is called:
#   state, since, health, mirror, port   what qlist prints
#   behave                               words that change what it does
#   calls                                every call that could change something
#   address                              where the superserver listens, as the kernel writes it; 127.0.0.1 without
#   ports                                what qlist prints as the list of superserver ports
#   proc                                 the processes of the instance, as the kernel would show them
here=$(cd "$(dirname "$0")" && pwd -P)
log=$here/mgr/messages.log
say() { echo "11/14/25-09:45:55:657 (50745) $1" >>"$log"; }
behaves() { grep -qw "$1" "$here/behave" 2>/dev/null; }
read_file() { cat "$here/$1" 2>/dev/null; }
# One process that listens on the superserver's port; the number of starts tells one run from the next.
appear() {
    port=$(printf %04X "$(read_file port)")
    mkdir -p "$here/proc/100/fd" "$here/proc/100/net"
    ln -sfn "$here/mgr" "$here/proc/100/cwd"
    ln -sfn "socket:[4242]" "$here/proc/100/fd/7"
    echo "100 (irisdb) S 1 100 100 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 $1 1 1" >"$here/proc/100/stat"
    {
        echo "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
        address=$(read_file address)
        echo "   0: ${address:-0100007F}:$port 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1"
        cat "$here/connections" 2>/dev/null
    } >"$here/proc/100/net/tcp"
}
vanish() { rm -rf "$here/proc/100"; }
verb=$1 name=$2
case $verb in
appear | vanish) "$verb" "$name"; exit 0 ;;
esac
if [ "$verb" = qlist ]; then
    behaves qlist_hangs && sleep 600
    behaves qlist_hangs_later && grep -q ^stop "$here/calls" 2>/dev/null && sleep 600
    behaves qlist_fails_once && grep -q ^start "$here/calls" 2>/dev/null && [ ! -e "$here/failed" ] &&
        { touch "$here/failed"; echo "Killed"; exit 137; }
    behaves qlist_fails_then && grep -q ^start "$here/calls" 2>/dev/null && { echo "Killed"; exit 137; }
    [ "$name" = PROD ] || { echo "Instance '$name' is not found."; exit 1; }
    # A stop that goes on by itself: the third look finds it at its end.
    if behaves settles && [ "$(read_file state)" = stopping ]; then
        echo look >>"$here/looks"
        [ "$(grep -c look "$here/looks")" -ge 3 ] && { echo down >"$here/state"; vanish; }
    fi
    state=$(read_file state)
    case $state in
    running) status="running, since $(read_file since)" ;;
    down) status="down, last used Thu Feb 19 20:47:24 2026" ;;
    *) status=$state ;;
    esac
    short="PROD^/prod^2026.1^$status^iris.cpf^$(read_file port)^$(read_file web_port)^0"
    # As Caché prints it: without the last fields.
    behaves old_qlist && { echo "$short"; exit 0; }
    echo "$short^$(read_file health)^IRIS^$(read_file mirror)^/prod^$(read_file ports)"
    exit 0
fi
echo "$*" >>"$here/calls"
env >"$here/environment"
for last; do :; done
case $verb in
# It has no other word than the name.
force) [ $# = 2 ] || { echo "usage" >&2; exit 1; } ;;
*) [ "$last" = quietly ] || { echo "asks on a terminal" >&2; exit 1; } ;;
esac
case $verb in
stop)
    # Left behind by a stop that hangs, if anything is.
    behaves stop_hangs && { sleep 600 & echo $! >"$here/left_behind"; wait; }
    behaves stop_lies && { echo "Shutdown complete"; exit 0; }
    behaves stop_midway && { echo stopping >"$here/state"; exit 0; }
    behaves sessions && say "0 [Utility.Event] 3 user process(es) remain"
    say "0 [Utility.Event] Shutdown complete"
    echo down >"$here/state"
    behaves processes_stay || vanish
    # As the real one may.
    behaves odd_exit && exit 7
    ;;
force)
    behaves force_hangs && sleep 600
    behaves force_fails && { echo "irisforce encountered an error."; exit 1; }
    echo down >"$here/state"
    vanish
    ;;
start)
    [ "$(read_file state)" = down ] || { echo "already running"; exit 1; }
    behaves start_hangs && { sleep 600 & echo $! >"$here/left_behind"; wait; }
    if behaves bad_cpf; then
        printf '\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n' >>"$log"
        say "3 [Utility.Event] Invalid parameter name 'frobs', LINE:'frobs=1' at line 402"
        say "3 [Utility.Event] Error: Parsing CPF file /prod/iris.cpf - Shutting down the system : x"
        echo "An error was encountered while initializing the system." >&2
        exit 1
    fi
    printf '\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n' >>"$log"
    say "0 [Generic.Event] Allocated 504MB shared memory"
    say "0 [Database.MountedRW] Mounted database /prod/mgr/ (SFN 0) read-write."
    behaves user_unmounted || say "0 [Database.MountedRW] Mounted database /prod/mgr/user/ (SFN 5) read-write."
    behaves same_second || echo "start $(grep -c '^start' "$here/calls")" >"$here/since"
    behaves foreign_port || appear "$((5000 + $(grep -c '^start' "$here/calls")))"
    behaves foreign_port && { appear 5001; rm "$here/proc/100/fd/7"; }
    health=ok
    behaves warned && health=warn
    behaves alerted && health=alert
    echo $health >"$here/health"
    echo running >"$here/state"
    behaves no_logons && exit 0
    say "0 [Utility.Event] Enabling logons"
    ;;
esac
exit 0

#!/bin/sh
# A scripted `iris` for the tests. Its state is files in the folder of the link by which it is called:
#   state, since, health, mirror, port   what qlist prints
#   behave                               words that change what stop and start do
#   calls                                every call that could change something
here=$(dirname "$0")
log=$here/mgr/messages.log
say() { echo "11/14/25-09:45:55:657 (50745) $1" >>"$log"; }
behaves() { grep -qw "$1" "$here/behave" 2>/dev/null; }
read_file() { cat "$here/$1" 2>/dev/null; }
verb=$1 name=$2
if [ "$verb" = qlist ]; then
    [ "$name" = PROD ] || { echo "Instance '$name' is not found."; exit 1; }
    # A stop that goes on by itself: the third look finds it at its end.
    if behaves settles && [ "$(read_file state)" = stopping ]; then
        echo look >>"$here/looks"
        [ "$(grep -c look "$here/looks")" -ge 3 ] && echo down >"$here/state"
    fi
    state=$(read_file state)
    case $state in
    running) status="running, since $(read_file since)" ;;
    down) status="down, last used Thu Feb 19 20:47:24 2026" ;;
    *) status=$state ;;
    esac
    echo "PROD^/prod^2026.1^$status^iris.cpf^$(read_file port)^0^0^$(read_file health)^IRIS^$(read_file mirror)^/prod^1"
    exit 0
fi
echo "$*" >>"$here/calls"
for last; do :; done
[ "$last" = quietly ] || { echo "asks on a terminal" >&2; exit 1; }
case $verb in
stop)
    behaves stop_hangs && sleep 600
    behaves stop_lies && { echo "Shutdown complete"; exit 0; }
    behaves stop_midway && { echo stopping >"$here/state"; exit 0; }
    behaves sessions && say "0 [Utility.Event] 3 user process(es) remain"
    say "0 [Utility.Event] Shutdown complete"
    echo down >"$here/state"
    # As the real one may.
    behaves odd_exit && exit 7
    ;;
start)
    [ "$(read_file state)" = down ] || { echo "already running"; exit 1; }
    if behaves bad_cpf; then
        printf '\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n' >>"$log"
        say "3 [Utility.Event] Invalid parameter name 'frobs', LINE:'frobs=1' at line 402"
        say "3 [Utility.Event] Error: Parsing CPF file /prod/iris.cpf - Shutting down the system : x"
        echo "An error was encountered while initializing the system." >&2
        exit 1
    fi
    printf '\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n' >>"$log"
    say "0 [Generic.Event] Allocated 504MB shared memory"
    behaves same_second || echo "start $(grep -c '^start' "$here/calls")" >"$here/since"
    echo ok >"$here/health"
    echo running >"$here/state"
    behaves no_logons && exit 0
    say "0 [Utility.Event] Enabling logons"
    ;;
esac
exit 0

#!/bin/sh
# A scripted `iris` for the tests: `qlist` prints the file `state`, `merge` does to the CPF beside it what `behave` says.
here=$(dirname "$0")
behaves() { grep -qw "$1" "$here/behave"; }
# Left behind by a program that is killed, if anything is.
hang() { sleep 600 & echo $! >"$here/hung"; wait; }
if [ "$1" = qlist ]; then
    behaves qlist_hangs && hang
    web=$(cat "$here/web_port" 2>/dev/null || echo 0)
    echo "PROD^$here^2024.2^$(cat "$here/state")^iris.cpf^1972^$web^0^ok^IRIS^^^$here^1972"
    exit 0
fi
[ "$1 $2" = "merge PROD" ] || exit 1
echo "$*" >>"$here/calls"
stat -c %a "$3" >>"$here/calls"
cp "$3" "$here/merged"
behaves lies && exit 0
behaves fails && { echo "IRIS Merge failed,no right" >&2; exit 7; }
behaves hangs && hang
new=$here/new
cp "$4" "$new"
grep = "$3" | while IFS== read -r name value; do
    sed -i "s|^$name=.*|$name=$value|" "$new"
    behaves half && break
done
behaves rewrites && sed -i "s|^errlog=.*|errlog=700|" "$new"
cat "$new" >"$4"
behaves odd_exit && exit 7
exit 0

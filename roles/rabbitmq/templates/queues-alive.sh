#!/bin/sh
# A full disk ends the log that quorum queues and streams write to, and RabbitMQ does not start it
# again, though the node goes on and systemd calls it well. What is in the queues is safe on disk:
# end the node when there is room again, and systemd starts it anew.
# Arguments: -sname or -name, and the node.
set -eu
kind=$1 node=$2
ask() { erl_call "$kind" "$node" -a "$1"; }
# A node that is down or starting is systemd's business.
[ "$(ask 'rabbit is_running []' 2>/dev/null)" = true ] || exit 0
[ "$(ask 'erlang whereis [ra_log_wal]')" = undefined ] || exit 0
alarms=$(ask 'rabbit_alarm get_local_alarms []')
if [ "$alarms" != "[]" ]; then
    echo "queues are down, and the node is short of something: $alarms" >&2
    exit 1
fi
echo "queues are down though there is room on the disk: the node is started anew" >&2
ask 'erlang halt [1]' 2>/dev/null || :

#!/bin/sh
# A full disk ends the logs that quorum queues and streams write to, or the database that knows the
# queues (Mnesia), and RabbitMQ does not start them again, though the node goes on and systemd calls
# it well. What is in the queues is safe on disk: end the node when there is room again, and systemd
# starts it anew.
# Arguments: what has a node evaluate Erlang: `rabbitmqctl`, or `erl_call -sname NODE` (or -name),
# which takes a tenth of its time but speaks with no node that wants TLS.
set -eu
asker=$1
shift
node=$*
ask() {
    case $asker in
    *rabbitmqctl) "$asker" --quiet eval "$1" ;;
    *) echo "$1" | "$asker" $node -e ;;
    esac
}
state=$(ask '
    Parts = [whereis(Log) =/= undefined || Log <- [ra_log_wal, ra_coordination_log_wal]],
    Known = rabbit_khepri:is_enabled() orelse mnesia:system_info(is_running) =:= yes,
    case rabbit:is_running() andalso lists:member(false, [Known | Parts]) of
        false -> well;
        true ->
            case rabbit_alarm:get_local_alarms() of
                [] -> dead;
                Alarms -> {short_of, Alarms}
            end
    end.' 2>/dev/null) || exit 0 # one that is down or starting is systemd's business
case $state in
*short_of*)
    echo "queues are down, and the node is short of something: $state" >&2
    exit 1
    ;;
*dead*)
    echo "queues are down though there is room on the disk: the node is started anew" >&2
    ask 'erlang:halt(1).' 2>/dev/null || :
    ;;
esac

#!/bin/sh
# A full disk stops the logs of quorum queues and streams, or the database of queues (Mnesia).
# RabbitMQ does not restart them, although the node keeps running and systemd reports it as active.
# The messages are safe on disk: stop the node when there is space again, and systemd restarts it.
# Arguments: the command that evaluates Erlang in the node: `rabbitmqctl`, or `erl_call -sname NODE`
# (or -name), which takes a tenth of the time but cannot connect to a node with inter-node TLS.
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
    end.' 2>/dev/null) || exit 0 # systemd handles a node that is down or starting
case $state in
*short_of*)
    echo "queues are down, and an alarm is active: $state" >&2
    exit 1
    ;;
*dead*)
    echo "queues are down although there is disk space: restarting the node" >&2
    ask 'erlang:halt(1).' 2>/dev/null || :
    ;;
esac

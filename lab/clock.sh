# A machine that was suspended or moved sets its clock when it goes on; what runs in it does not
# notice. The real-time clock shows the machine's: follow it. No program is started meanwhile.
exec {never}<> <(:)
while :; do
    read -r below </sys/class/rtc/rtc0/since_epoch
    ahead=$((below - EPOCHSECONDS))
    if ((ahead < -2 || ahead > 2)); then
        echo "the clock is $ahead s off"
        date --utc --set="@$below"
    fi
    read -r -t 5 -u "$never" || :
done

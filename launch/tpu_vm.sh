#!/usr/bin/env bash
#> bash -c TEXT
# A run on a TPU slice of any size, by a queued resource: waits for it, installs this checkout on every host, trains, and
# deletes it at the end, also after an error or Ctrl-C. A slice that is taken away is asked for again, and a run that
# saved and ended with 75 is started again: both go on from the last checkpoint. It works as long as this script runs;
# start it where it can, for example under tmux on a small VM.
#
#: name=ssljax            of the queued resource and the TPU
#: zone                   such as us-central1-a
#: type=v5litepod-16      accelerator type, of 16 chips
#: hosts=4                of that type: v5litepod-16 has 4, v5litepod-8 one
#: version=v2-alpha-tpuv5-lite   of the TPU's software, which goes with the type
#: spot=yes               no: on demand
#: keep=no                yes: the TPU is left, and costs money, until you delete it
#: pause=30               seconds between two looks at it
set -uo pipefail
name={{ name | shell }}
zone={{ zone | shell }}
pause={{ pause }}
stopped=0

queue() { # VERB [FLAG ...]
  local verb=$1
  shift
  gcloud compute tpus queued-resources "$verb" "$name" --zone="$zone" "$@"
}
queued() { queue describe --format='value(state.state)' 2>/dev/null; }
node() { gcloud compute tpus tpu-vm describe "$name" --zone="$zone" --format='value(state)' 2>/dev/null; }
there() { [ "$(queued)" = ACTIVE ] && [ "$(node)" = READY ]; }
on_all() { gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --quiet --command="$1"; }
request() {
  queue create --node-id="$name" --accelerator-type={{ type | shell }} --runtime-version={{ version | shell }} \
{% if spot == 'yes' %}
    --spot \
{% endif %}
    --quiet
}
release() { queue delete --force --quiet; }
wait_for_it() {
  while ! there; do
    case $(queued) in
      '') request || return ;;
      FAILED | SUSPENDED) release && request || return ;;
      ACTIVE)
        if [ "$(node)" = PREEMPTED ] || [ "$(node)" = TERMINATED ]; then
          release && request || return
        fi
        ;;
    esac
    sleep "$pause"
  done
}
install() {
  local archive
  archive=$(mktemp -d)/ssljax.tar.gz
  tar --exclude=__pycache__ -czf "$archive" -C {{ root | shell }} pyproject.toml README.md LICENSE ssljax configs || return
  gcloud compute tpus tpu-vm scp "$archive" "$name":ssljax.tar.gz --zone="$zone" --worker=all --quiet || return
  # shellcheck disable=SC2016 # the hosts' HOME
  on_all 'python3 -m pip install --user --quiet uv &&
    python3 -m uv venv --quiet --python 3.12 --allow-existing ~/ssljax &&
    python3 -m uv pip install --quiet --python ~/ssljax "$HOME/ssljax.tar.gz[tpu,buckets]"'
}
train() {
  local arguments
  trap '' INT # Ctrl-C is for this script, which asks the hosts to save
{% if hosts | int > 1 %}
  arguments={{ (arguments + ['--coordinator=auto']) | shell | shell }}
{% else %}
  arguments={{ arguments | shell | shell }}
{% endif %}
  on_all "echo \$\$ > ~/ssljax.pid; exec ~/ssljax/bin/ssljax train $arguments"
}
# shellcheck disable=SC2329 # by the trap
stop() { # asks every host to save
  stopped=1
  # shellcheck disable=SC2016
  on_all 'kill -TERM "$(cat ~/ssljax.pid)"'
}

trap stop INT TERM
{% if keep == 'no' %}
trap release EXIT
{% endif %}
code=75
while [ "$code" -eq 75 ] && [ "$stopped" -eq 0 ]; do
  wait_for_it || exit 1
  if ! install; then
    there && exit 1
    continue
  fi
  train &
  run=$!
  wait "$run"
  code=$?
  if [ "$stopped" -eq 1 ]; then # the wait was ended by a signal
    wait "$run"
    again=$?
    if [ "$again" -ne 127 ]; then
      code=$again
    fi
  elif [ "$code" -ne 0 ] && [ "$code" -ne 75 ]; then
    sleep "$pause"
    if ! there; then
      echo "$name was taken away: asking for another" >&2
      code=75
    fi
  fi
done
exit "$code"

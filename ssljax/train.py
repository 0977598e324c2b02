"""Run one recipe: pretrain, transfer, evaluate, report.

usage: ssljax train --config=RECIPE [--workdir=DIR] [--minutes=N]
                    [--config.FIELD=VALUE ...]

  --config=RECIPE         a bundled recipe, such as quickstart, or a Python
                          file, such as configs/rotnet.py; an argument follows
                          a colon (pretext_cifar10:jigsaw)
  --workdir=DIR           where to keep the run (default: runs/NAME); a run
                          found there is continued, a finished one reused
  --minutes=N             with --config=auto, which plans the run: its duration
  --config.FIELD=VALUE    sets a field of the recipe, such as seeds=0,1
                          --config.data.source=folder:photos also csv:FILE
                          --config.data.labels=50     also 25/class, 1%, all
                          --config.pretrain.method=simclr
                          --config.pretrain.epochs=20 also accumulate=4
                          --config.fsdp.devices=8     also backbone.remat=True
  --coordinator=HOST:PORT and --processes=N, --process=I: one of several hosts

DIR then has result.json, metrics and report.html. Ctrl-C or SIGTERM saves and
exits with 75; rerun to resume. Exit codes: 0 done, 1 failed, 2 usage.

example: ssljax train --config=quickstart --workdir=runs/quickstart
"""

from ssljax import verbs

if __name__ == '__main__':
    verbs.begin('train')

    from absl import app

    from ssljax import main

    app.run(main.main, flags_parser=main.parse)

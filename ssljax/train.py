"""Pretrain, transfer and evaluate: one recipe, one table, one page.

usage: ssljax train --config=RECIPE [--workdir=DIR] [--config.FIELD=VALUE ...]

  --config=RECIPE         a recipe of the package, such as quickstart, or a
                          Python file, such as configs/rotnet.py; after a colon
                          its argument (pretext_cifar10:jigsaw)
  --workdir=DIR           where the run is kept (runs/NAME); one that was begun
                          goes on, and one that is finished is not done again
  --config.FIELD=VALUE    sets a field of the recipe, for example
                          --config.data.source=folder:photos
                          --config.data.labels=50     also 25/class, 1%, all
                          --config.pretrain.method=simclr
                          --config.pretrain.epochs=20
                          --config.seeds=0,1,2
                          a misspelt one names the nearest

DIR then has result.json, metrics and report.html. Ctrl-C or SIGTERM saves and
exits with 75: the same command goes on. Exit codes: 0 done, 1 failed, 2 usage.

example: ssljax train --config=quickstart --workdir=runs/quickstart
"""

from ssljax import verbs

if __name__ == '__main__':
    verbs.begin('train')

    from absl import app

    from ssljax import main

    app.run(main.main, flags_parser=main.parse)

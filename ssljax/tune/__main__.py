"""Choose batch size, rate, augmentation and duration by short runs.

usage: ssljax tune --config=RECIPE [--workdir=DIR] [--config.FIELD=VALUE ...]

  --config=RECIPE         a bundled recipe, such as quickstart, or a Python
                          file
  --workdir=DIR           where to keep the run (default: runs/NAME)
  --config.FIELD=VALUE    sets a field of the recipe, for example
                          --config.tuning.minutes=10    in total
                          --config.tuning.decide=batch_size,rate

No model is kept. DIR/tuning gets decisions.json, each decision with its
reason, and tuned.py, a recipe for `ssljax train`. `ssljax train` with
--config.tune=True and the same --workdir uses the decisions, too.

example: ssljax tune --config=quickstart --config.tuning.minutes=2
"""

from ssljax import verbs

if __name__ == '__main__':
    verbs.begin('tune')

    from absl import app

    from ssljax import main, tune

    app.run(lambda _: main.command(tune.run), flags_parser=main.parse)

"""python -m ssljax.tune --config=configs/rotnet.py [--workdir=DIR] [--config.FIELD=VALUE ...]: tunes, and does not
train. WORKDIR/tuning/tuned.py is then a config for ssljax.main."""

from absl import app

from ssljax import main, tune

if __name__ == '__main__':
    app.run(lambda _: main.command(tune.run), flags_parser=main.parse)

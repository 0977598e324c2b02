"""ssljax: image classifiers from few labels and many unlabelled images, in JAX and Flax."""

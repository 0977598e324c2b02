def recipe(name, argument=None):
    raise NotImplementedError

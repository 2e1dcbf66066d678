"""A run made again from what it left: notebook, modules, parameters, data, environment; and whether it gives the same."""

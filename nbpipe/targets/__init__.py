"""Named places to run: what the project says of them, whether they fit, and the executors for them."""

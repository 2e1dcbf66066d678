"""The same pipelines on nbpipe and on its peers, each in an environment of its own."""

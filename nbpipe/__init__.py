"""nbpipe: turn the notebook you have into a production pipeline."""

__version__ = "0.1.0"

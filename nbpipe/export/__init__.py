"""From a pipeline to the definition of a scheduler: `nbpipe export`. Nothing of the notebook, nor of the scheduler, is executed."""
